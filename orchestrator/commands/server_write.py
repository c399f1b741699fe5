"""Commands that create, change and delete MCP servers of the registry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.commands import checks
from orchestrator.commands import server_documents as documents
from orchestrator.commands.command import UNCHANGED, Unchanged, changed
from orchestrator.commands.encoding import OPTIONAL
from orchestrator.commands.projects import known_project
from orchestrator.commands.server_probe import probe_all
from orchestrator.commands.servers import Scope, missing
from orchestrator.commands.use import Use
from orchestrator.domain.errors import AlreadyExists, Conflict, InvalidInput
from orchestrator.domain.mcp import McpServer, RegisteredServer
from orchestrator.store import servers as store
from orchestrator.store.database import Transaction
from orchestrator.store.server_references import referenced_by
from orchestrator.vault.change import Change, carry_out, locked, read_file
from orchestrator.vault.layout import Address, path_of
from orchestrator.vault.server_render import NotWritable, edit, render

_STRINGS: Final = {"wrong": "'args' must be a list of strings"}
_ENV: Final = {"wrong": "'env' must be an object of strings to strings"}
_HEADERS: Final = {"wrong": "'headers' must be an object of strings to strings"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerFields:
    """What can be said of a server; null and empty values take it away. `${NAME}` in `env` and `headers`
    refers to a secret."""

    transport: str | Unchanged | None = UNCHANGED
    """`stdio` or `http`; absent: `stdio` when there is a command."""
    description: str | Unchanged | None = UNCHANGED
    command: str | Unchanged | None = UNCHANGED
    args: tuple[str, ...] | Unchanged | None = field(default=UNCHANGED, metadata=_STRINGS)
    env: Mapping[str, str] | Unchanged | None = field(default=UNCHANGED, metadata=_ENV)
    url: str | Unchanged | None = UNCHANGED
    headers: Mapping[str, str] | Unchanged | None = field(default=UNCHANGED, metadata=_HEADERS)
    notes: str | Unchanged | None = UNCHANGED
    """The document's body, for people."""


FIELDS: Final = tuple(ServerFields.__dataclass_fields__)


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateServer(ServerFields):
    name: str
    project_id: str | None = None
    """Absent: a server of the system, for every project."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerCreated:
    created: str
    scope: Scope
    project_id: str | None
    path: str
    """Below the vault."""
    tool_count: int | None = field(default=None, metadata=OPTIONAL)
    last_error: str | None = field(default=None, metadata=OPTIONAL)
    """Why its first probe failed; it is created all the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EditServer(ServerFields):
    """Fields that are not mentioned stay."""

    name: str
    project_id: str | None = None
    """Whose server it is; absent: the system's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerUpdated:
    updated: str
    scope: Scope
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteServer:
    name: str
    project_id: str | None = None
    """Whose server it is; absent: the system's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerDeleted:
    deleted: str
    scope: Scope
    path: str


async def create_mcp_server(use: Use, request: CreateServer) -> ServerCreated:
    """Write a new MCP server into the vault, and probe it."""
    address, scope = await _address(use, request.name, request.project_id)
    given = _given(request)
    blank = McpServer(
        name=address.id, project_id=address.project_id, transport="http" if given.get("url") else "stdio"
    )
    server = documents.checked(blank, given)
    path = path_of(address)
    try:
        data = render(server, given.get("notes") or "")
    except NotWritable as error:
        raise InvalidInput(str(error)) from error
    async with locked(use.host.vault):
        if await read_file(use.host.vault, path) is not None:
            raise AlreadyExists(f"MCP server {address.id} already exists (scope={scope})", field="name")
        await _save(use, Change(path=path, before=None, after=data))
    probe = await _first_probe(use, address)
    return ServerCreated(
        created=address.id,
        scope=scope,
        project_id=address.project_id,
        path=path,
        tool_count=None if probe is None or probe.probe is None else len(probe.probe.tools),
        last_error=None if probe is None or probe.probe is None else probe.probe.error,
    )


async def edit_mcp_server(use: Use, request: EditServer) -> ServerUpdated:
    """Change fields of an MCP server; the rest of its document stays byte for byte."""
    address, scope = await _address(use, request.name, request.project_id)
    given = _given(request)
    if not given:
        raise InvalidInput("No fields to update")
    async with locked(use.host.vault):
        here = await documents.find(use, address)
        if here is None:
            raise missing(address.id, address.project_id)
        server = documents.checked(here.parsed.server, given)
        notes = given["notes"] or "" if "notes" in given else None
        try:
            data = edit(here.parsed, server, notes)
        except NotWritable as error:
            raise InvalidInput(str(error)) from error
        await _save(use, Change(path=here.path, before=here.data, after=data))
    return ServerUpdated(updated=address.id, scope=scope, path=here.path)


async def delete_mcp_server(use: Use, request: DeleteServer) -> ServerDeleted:
    """Remove an MCP server that no profile names any more."""
    address, scope = await _address(use, request.name, request.project_id)
    path = path_of(address)
    async with locked(use.host.vault):
        await use.sync()  # a profile that was saved a moment ago counts
        data = await read_file(use.host.vault, path)
        if data is None:
            raise missing(address.id, address.project_id)
        await use.database.read(_refuse_while_referenced, address)
        await _save(use, Change(path=path, before=data, after=None))
    return ServerDeleted(deleted=address.id, scope=scope, path=path)


def _refuse_while_referenced(tx: Transaction, address: Address) -> None:
    server = store.get(tx, address.id, project_id=address.project_id)
    names = [] if server is None else referenced_by(tx, server)
    if names:
        raise Conflict(
            f"MCP server {address.id} is still referenced by {len(names)} profile(s): {', '.join(names)}; "
            "take it out of their lists first",
            members={"referenced_by": names},
        )


def _given(request: ServerFields) -> dict[str, Any]:
    return changed(**{name: getattr(request, name) for name in FIELDS})


async def _address(use: Use, name: str, project_id: str | None) -> tuple[Address, Scope]:
    """Raises InvalidInput for a name that cannot be used, NotFound for a project that is not there."""
    documents.check_not_reserved(checks.check_id(name, "name"))
    if project_id is not None:
        await use.database.read(known_project, project_id)
    scope: Scope = "system" if project_id is None else "project"
    return documents.address_of(name, project_id), scope


async def _save(use: Use, change: Change) -> None:
    await carry_out(use.host.vault, [change], use.sync)


async def _first_probe(use: Use, address: Address) -> RegisteredServer | None:
    def look(tx: Transaction) -> RegisteredServer | None:
        return store.registered(tx, address.id, project_id=address.project_id)

    found = await use.database.read(look)
    if use.probe is None or found is None:
        return None
    return (await probe_all(use, [found]))[0]
