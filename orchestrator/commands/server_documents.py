"""MCP servers as commands find and leave them: the documents of the vault."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from orchestrator.commands.use import Use
from orchestrator.domain.errors import Conflict, InvalidInput
from orchestrator.domain.mcp import McpServer
from orchestrator.domain.tools import EMBEDDED_PREFIX, EMBEDDED_SERVER, mcp_name
from orchestrator.vault.change import read_file
from orchestrator.vault.layout import Address, path_of
from orchestrator.vault.problem import Rejected
from orchestrator.vault.server_document import ParsedServer, parse


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A document that is there: its path below the vault, its bytes, and what they say."""

    path: str
    data: bytes
    parsed: ParsedServer


def address_of(name: str, project_id: str | None) -> Address:
    return Address(kind="mcp_server", id=name, project_id=project_id)


def check_not_reserved(name: str) -> None:
    """Raises InvalidInput for the embedded server's name, and for one whose tools would look like its."""
    if name == EMBEDDED_SERVER or mcp_name(name, "").startswith(EMBEDDED_PREFIX):
        raise InvalidInput(f"'{name}' is reserved by the embedded {EMBEDDED_SERVER} server", field="name")


async def find(use: Use, address: Address) -> Found | None:
    """The document as it is in the vault now. Raises Conflict when it cannot be used."""
    path = path_of(address)
    data = await read_file(use.host.vault, path)
    if data is None:
        return None
    parsed = parse(data, name=address.id, project_id=address.project_id)
    if isinstance(parsed, Rejected):
        raise Conflict(
            f"{path} cannot be used as it is; correct it first: {'; '.join(map(str, parsed.errors))}"
        )
    return Found(path=path, data=data, parsed=parsed)


async def notes_of(use: Use, server: McpServer) -> tuple[str, str | None]:
    """The document's body, and what is wrong with the document now."""
    path = path_of(address_of(server.name, server.project_id))
    data = await read_file(use.host.vault, path)
    if data is None:
        return "", f"{path} is gone from the vault"
    parsed = parse(data, name=server.name, project_id=server.project_id)
    if isinstance(parsed, Rejected):
        return "", "; ".join(map(str, parsed.errors))
    return parsed.text[parsed.front.body :].strip(), None


def checked(server: McpServer, fields: Mapping[str, Any]) -> McpServer:
    """The server with these fields. Raises InvalidInput for what its transport lacks or has no use for."""
    implied = "stdio" if fields.get("command") else server.transport
    transport = _text(fields.get("transport")).casefold() or implied
    if transport not in ("stdio", "http"):
        raise InvalidInput("'transport' must be stdio or http", field="transport")
    if transport == "stdio":
        return _stdio(server, fields)
    return _http(server, fields)


def _stdio(server: McpServer, fields: Mapping[str, Any]) -> McpServer:
    for name in ("url", "headers"):
        if fields.get(name):
            raise InvalidInput(f"'{name}' is not used by a server with transport stdio", field=name)
    command = _text(fields.get("command", server.command))
    if not command:
        raise InvalidInput("stdio transport requires 'command'", field="command")
    return McpServer(
        name=server.name,
        transport="stdio",
        project_id=server.project_id,
        description=_text(fields.get("description", server.description)),
        command=command,
        args=tuple(cast(tuple[str, ...], fields.get("args", server.args)) or ()),
        env=dict(cast(Mapping[str, str], fields.get("env", server.env)) or {}),
    )


def _http(server: McpServer, fields: Mapping[str, Any]) -> McpServer:
    for name in ("command", "args", "env"):
        if fields.get(name):
            raise InvalidInput(f"'{name}' is not used by a server with transport http", field=name)
    url = _text(fields.get("url", server.url))
    if not url:
        raise InvalidInput("http transport requires 'url'", field="url")
    return McpServer(
        name=server.name,
        transport="http",
        project_id=server.project_id,
        description=_text(fields.get("description", server.description)),
        url=url,
        headers=dict(cast(Mapping[str, str], fields.get("headers", server.headers)) or {}),
    )


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
