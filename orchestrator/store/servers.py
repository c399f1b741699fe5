"""MCP servers: rows in, rows out; a project's shadow the system's where they are selected."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, or_, select, update

from orchestrator.domain.mcp import McpServer, RegisteredServer, ServerProbe, ServerTool
from orchestrator.store.outbox import mark_rules_changed
from orchestrator.store.tables import mcp_servers

SYSTEM = ""
"""The project of what belongs to none."""


def put(tx: Connection, server: McpServer, *, digest: str, now: float) -> None:
    """Make this the definition of the server of that name and scope."""
    mark_rules_changed(tx)
    values = {**_values(server), "digest": digest, "updated_at": now}
    if tx.execute(update(mcp_servers).where(*_key(server.name, server.project_id)).values(values)).rowcount:
        return
    tx.execute(insert(mcp_servers).values(**values, created_at=now))


def get(tx: Connection, name: str, *, project_id: str | None = None) -> McpServer | None:
    """The definition in exactly this scope; `None` is the system's."""
    row = tx.execute(select(mcp_servers).where(*_key(name, project_id))).mappings().first()
    return None if row is None else _server(row)


def remove(tx: Connection, name: str, *, project_id: str | None = None) -> bool:
    """False when there was none."""
    mark_rules_changed(tx)
    return tx.execute(delete(mcp_servers).where(*_key(name, project_id))).rowcount == 1


def list_servers(tx: Connection, *, project_id: str | None = None) -> list[McpServer]:
    """The system's and those of the project when one is given, by name; shadowed ones are among them."""
    scope = mcp_servers.c.project_id == SYSTEM
    if project_id is not None:
        scope = or_(scope, mcp_servers.c.project_id == project_id)
    query = select(mcp_servers).where(scope).order_by(mcp_servers.c.name, mcp_servers.c.project_id)
    return [_server(row) for row in tx.execute(query).mappings()]


def registered(tx: Connection, name: str, *, project_id: str | None = None) -> RegisteredServer | None:
    """The definition in exactly this scope, with what it was last seen to offer."""
    row = tx.execute(select(mcp_servers).where(*_key(name, project_id))).mappings().first()
    return None if row is None else _registered(row)


def list_registered(tx: Connection, *, project_id: str | None = None) -> list[RegisteredServer]:
    """`list_servers` with what each was last seen to offer."""
    scope = mcp_servers.c.project_id == SYSTEM
    if project_id is not None:
        scope = or_(scope, mcp_servers.c.project_id == project_id)
    query = select(mcp_servers).where(scope).order_by(mcp_servers.c.name, mcp_servers.c.project_id)
    return [_registered(row) for row in tx.execute(query).mappings()]


def record_probe(tx: Connection, found: RegisteredServer, probe: ServerProbe) -> bool:
    """Keep what a probe said. False when the server's document has changed since: it was about another."""
    server = found.server
    here = (*_key(server.name, server.project_id), mcp_servers.c.digest == found.digest)
    tools = [
        {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}
        for tool in probe.tools
    ]
    values = {"probed_at": probe.at, "probe_error": probe.error, "probed_tools": tools}
    return tx.execute(update(mcp_servers).where(*here).values(values)).rowcount == 1


def _key(name: str, project_id: str | None) -> tuple[Any, ...]:
    return mcp_servers.c.name == name, mcp_servers.c.project_id == (project_id or SYSTEM)


def _values(server: McpServer) -> dict[str, Any]:
    return {
        "project_id": server.project_id or SYSTEM,
        "name": server.name,
        "transport": server.transport,
        "description": server.description,
        "command": server.command,
        "args": server.args,
        "env": dict(server.env),
        "url": server.url,
        "headers": dict(server.headers),
    }


def _server(row: RowMapping) -> McpServer:
    return McpServer(
        name=row["name"],
        transport=row["transport"],
        project_id=row["project_id"] or None,
        description=row["description"],
        command=row["command"],
        args=tuple(row["args"]),
        env=row["env"],
        url=row["url"],
        headers=row["headers"],
    )


def _registered(row: RowMapping) -> RegisteredServer:
    probe = None
    if row["probed_at"] is not None:
        tools = tuple(map(_tool, row["probed_tools"] or ()))
        probe = ServerProbe(at=row["probed_at"], tools=tools, error=row["probe_error"])
    return RegisteredServer(server=_server(row), digest=row["digest"], probe=probe)


def _tool(stored: Mapping[str, Any]) -> ServerTool:
    return ServerTool(
        name=stored["name"], description=stored["description"], input_schema=stored["input_schema"]
    )
