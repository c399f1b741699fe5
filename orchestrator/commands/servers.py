"""Commands that look at the registry of MCP servers: all, one, and the tools they were seen to offer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from orchestrator.commands import builtin_server, checks
from orchestrator.commands import server_documents as documents
from orchestrator.commands.encoding import OPTIONAL
from orchestrator.commands.projects import known_project
from orchestrator.commands.use import Use
from orchestrator.domain.errors import NotFound
from orchestrator.domain.mcp import RegisteredServer, ServerProbe, ServerTool
from orchestrator.domain.secret import HIDDEN, REFERENCE
from orchestrator.domain.tools import EMBEDDED_SERVER
from orchestrator.store import servers as store
from orchestrator.store.database import Transaction

Scope = Literal["system", "project"]

_SCHEME: Final = re.compile(r"[A-Za-z]+ (?=\$\{)")
"""Of an `Authorization` header: what stands before its reference is no secret."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListServers:
    project_id: str | None = None
    """Those of this project too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSummary:
    name: str
    transport: str
    scope: Scope
    description: str
    is_builtin: bool
    project_id: str | None = field(default=None, metadata=OPTIONAL)
    tool_count: int | None = field(default=None, metadata=OPTIONAL)
    """This and the following: once it was probed as it is defined now."""
    last_probed_at: float | None = field(default=None, metadata=OPTIONAL)
    last_error: str | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerList:
    servers: tuple[ServerSummary, ...]
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class GetServer:
    name: str
    project_id: str | None = None
    """Where the name is resolved: the project's own server first, then the system's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerDetails:
    name: str
    transport: str
    scope: Scope
    description: str
    is_builtin: bool
    project_id: str | None = field(default=None, metadata=OPTIONAL)
    tool_count: int | None = field(default=None, metadata=OPTIONAL)
    last_probed_at: float | None = field(default=None, metadata=OPTIONAL)
    last_error: str | None = field(default=None, metadata=OPTIONAL)
    adapter_config: Mapping[str, Any]
    """What an agent's command line gets, with references as they are written and other values hidden."""
    notes: str
    """The document's body."""
    problem: str | None = field(default=None, metadata=OPTIONAL)
    """What is wrong with the document now, when this is the last good definition."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListCatalog:
    project_id: str | None = None
    server_names: tuple[str, ...] | None = None
    """Absent: all that can be named there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogTool:
    name: str
    description: str
    input_schema: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogEntry:
    """What a server said when it was probed last; `ok` is null until it was."""

    name: str
    scope: Scope
    transport: str
    project_id: str | None = field(default=None, metadata=OPTIONAL)
    ok: bool | None
    tools: tuple[CatalogTool, ...]
    last_error: str | None
    last_probed_at: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCatalog:
    servers: Mapping[str, CatalogEntry]
    count: int


async def list_mcp_servers(use: Use, request: ListServers) -> ServerList:
    """List the MCP servers of the registry by name."""

    def read(tx: Transaction) -> list[RegisteredServer]:
        if request.project_id is not None:
            known_project(tx, request.project_id)
        return store.list_registered(tx, project_id=request.project_id)

    rows = [summary(found) for found in await use.database.read(read)]
    rows.append(ServerSummary(**_builtin()))
    rows.sort(key=lambda row: (row.name, row.scope == "project"))
    return ServerList(servers=tuple(rows), count=len(rows))


async def get_mcp_server(use: Use, request: GetServer) -> ServerDetails:
    """Show an MCP server: how it is started or reached, its notes, and how its last probe went."""
    if request.name == EMBEDDED_SERVER:
        description = "Served by this program itself, to each attempt with a token of its own."
        return ServerDetails(**_builtin(), adapter_config={}, notes=description)
    found = await use.database.read(resolve, request.name, request.project_id)
    notes, problem = await documents.notes_of(use, found.server)
    return ServerDetails(**_facts(found), adapter_config=_adapter_config(found), notes=notes, problem=problem)


async def list_mcp_tool_catalog(use: Use, request: ListCatalog) -> ToolCatalog:
    """List the tools of MCP servers with their schemas, as the last probe of each found them."""

    def read(tx: Transaction) -> dict[str, RegisteredServer]:
        if request.project_id is not None:
            known_project(tx, request.project_id)
        return visible(tx, request.project_id)

    entries = {name: entry(found) for name, found in (await use.database.read(read)).items()}
    entries[EMBEDDED_SERVER] = builtin_entry()
    wanted = sorted(entries) if request.server_names is None else request.server_names
    for name in wanted:
        if name not in entries:
            raise missing(name, request.project_id, field="server_names")
    return ToolCatalog(servers={name: entries[name] for name in wanted}, count=len(set(wanted)))


def visible(tx: Transaction, project_id: str | None) -> dict[str, RegisteredServer]:
    """The servers that a profile can name there, by name: the project's stand in for the system's."""
    found = store.list_registered(tx, project_id=project_id)
    return {one.server.name: one for one in sorted(found, key=lambda one: one.server.project_id or "")}


def resolve(tx: Transaction, name: str, project_id: str | None) -> RegisteredServer:
    """The server that this name stands for. Raises InvalidInput and NotFound."""
    checks.check_id(name, "name")
    if project_id is not None:
        known_project(tx, project_id)
        if (own := store.registered(tx, name, project_id=project_id)) is not None:
            return own
    found = store.registered(tx, name)
    if found is None:
        raise missing(name, project_id)
    return found


def missing(name: str, project_id: str | None, *, field: str = "name") -> NotFound:
    where = "" if project_id is None else f" for project {project_id}"
    return NotFound(
        f"MCP server {name[:80]!r} not found{where}; `orchestrator mcp-server list` shows those there are",
        field=field,
    )


def scope_of(found: RegisteredServer) -> Scope:
    return "system" if found.server.project_id is None else "project"


def summary(found: RegisteredServer) -> ServerSummary:
    return ServerSummary(**_facts(found))


def entry(found: RegisteredServer) -> CatalogEntry:
    probe = found.probe
    return CatalogEntry(
        name=found.server.name,
        scope=scope_of(found),
        transport=found.server.transport,
        project_id=found.server.project_id,
        ok=None if probe is None else probe.ok,
        tools=() if probe is None else tuple(map(_tool, probe.tools)),
        last_error=None if probe is None else probe.error,
        last_probed_at=None if probe is None else probe.at,
    )


def builtin_entry() -> CatalogEntry:
    return CatalogEntry(
        name=EMBEDDED_SERVER,
        scope="system",
        transport=builtin_server.TRANSPORT,
        ok=True,
        tools=tuple(map(_tool, builtin_server.tools())),
        last_error=None,
        last_probed_at=None,
    )


def _tool(tool: ServerTool) -> CatalogTool:
    return CatalogTool(name=tool.name, description=tool.description, input_schema=tool.input_schema)


def _facts(found: RegisteredServer) -> dict[str, Any]:
    server, probe = found.server, found.probe or ServerProbe(at=0.0)
    return {
        "name": server.name,
        "transport": server.transport,
        "scope": scope_of(found),
        "description": server.description,
        "is_builtin": False,
        "project_id": server.project_id,
        "tool_count": None if found.probe is None else len(probe.tools),
        "last_probed_at": None if found.probe is None else probe.at,
        "last_error": probe.error,
    }


def _builtin() -> dict[str, Any]:
    return {
        "name": EMBEDDED_SERVER,
        "transport": builtin_server.TRANSPORT,
        "scope": "system",
        "description": builtin_server.DESCRIPTION,
        "is_builtin": True,
        "tool_count": len(builtin_server.tools()),
    }


def _adapter_config(found: RegisteredServer) -> dict[str, Any]:
    server = found.server
    if server.transport == "stdio":
        config: dict[str, Any] = {"command": server.command, "args": list(server.args)}
        return config | ({"env": _hidden(server.env)} if server.env else {})
    config = {"type": "http", "url": _without_password(server.url or "")}
    return config | ({"headers": _hidden(server.headers)} if server.headers else {})


def _hidden(values: Mapping[str, str]) -> dict[str, str]:
    return {name: _shown(value) for name, value in values.items()}


def _shown(value: str) -> str:
    """References as they are, whatever else there is hidden: it may be a key, put there by mistake."""
    kept = [found.span() for found in (*_SCHEME.finditer(value, 0), *REFERENCE.finditer(value))]
    shown, at = "", 0
    for start, end in sorted(kept):
        shown += (HIDDEN if start > at else "") + value[start:end]
        at = end
    return shown + (HIDDEN if at < len(value) else "")


def _without_password(url: str) -> str:
    user, at, rest = urlsplit(url).netloc.rpartition("@")
    return url.replace(f"{user}@{rest}", f"{HIDDEN}@{rest}", 1) if at else url
