"""`orchestrator mcp-server ...`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import exit_codes, output
from orchestrator.cli.hints import typed
from orchestrator.cli.session import call
from orchestrator.cli.times import shown
from orchestrator.commands import server_probe, server_write, servers
from orchestrator.commands.visible import one_line
from orchestrator.domain.errors import InvalidInput

Name = Annotated[str, Parameter(help="Name of the server.")]
Project = Annotated[str | None, Parameter(help="A project's own server; absent: the system's.")]
Seen = Annotated[str | None, Parameter(help="As this project sees them: its own stand in for the system's.")]

_CLEARED = ("description", "args", "env", "headers", "notes")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Fields:
    """What can be said of a server."""

    command: Annotated[str | None, Parameter(help="The program to start.")] = None
    arg: Annotated[
        list[str] | None,
        Parameter(help="An argument of it, as --arg=-y; again for each.", allow_leading_hyphen=True),
    ] = None
    env: Annotated[
        list[str] | None, Parameter(help="NAME=VALUE for it; ${SECRET} refers to a secret; again for each.")
    ] = None
    url: Annotated[str | None, Parameter(help="Address of a server that runs already.")] = None
    header: Annotated[
        list[str] | None,
        Parameter(help="NAME=VALUE sent to it; ${SECRET} refers to a secret; again for each."),
    ] = None
    transport: Annotated[str | None, Parameter(help="stdio or http; absent: what suits.")] = None
    description: Annotated[str | None, Parameter(help="What it is for, in one line.")] = None
    notes: Annotated[str | None, Parameter(help="Text for people, the document's body.")] = None

    def given(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "command": self.command,
            "args": None if self.arg is None else tuple(self.arg),
            "env": _pairs("env", self.env),
            "url": self.url,
            "headers": _pairs("header", self.header),
            "transport": self.transport,
            "description": self.description,
            "notes": self.notes,
        }
        return {name: value for name, value in found.items() if value is not None}


_NOTHING = Fields()


def list_(*, project: Seen = None) -> None:
    """List the MCP servers of the registry."""
    output.show(call(servers.list_mcp_servers, servers.ListServers(project_id=project)), _list)


def show(name: Name, *, project: Seen = None) -> None:
    """Show how a server is started or reached, its secrets hidden."""
    request = servers.GetServer(name=name, project_id=project)
    output.show(call(servers.get_mcp_server, request), _details)


def add(name: Name, *, project: Project = None, fields: Fields = _NOTHING) -> None:
    """Add a server and probe it."""
    request = server_write.CreateServer(name=name, project_id=project, **fields.given())
    output.show(call(server_write.create_mcp_server, request), _created)


def edit(
    name: Name,
    *,
    project: Project = None,
    clear: Annotated[
        list[str] | None, Parameter(help="A field to empty: description, args, env, headers, notes.")
    ] = None,
    fields: Fields = _NOTHING,
) -> None:
    """Change fields of a server; lists and maps are replaced whole."""
    given = fields.given()
    for field in clear or ():
        if field not in _CLEARED:
            raise InvalidInput(f"clear: {field!r} is not one of {', '.join(_CLEARED)}", field="clear")
        given[field] = None
    request = server_write.EditServer(name=name, project_id=project, **given)
    output.show(call(server_write.edit_mcp_server, request), _updated)


def delete(name: Name, *, project: Project = None) -> None:
    """Remove a server that no profile names any more."""
    request = server_write.DeleteServer(name=name, project_id=project)
    output.show(call(server_write.delete_mcp_server, request), _deleted)


def probe(
    name: Annotated[str | None, Parameter(help="Name of the server; absent: all.")] = None,
    *,
    project: Seen = None,
) -> int:
    """Start a server, or all, and ask which tools it offers; 1 when one of them fails."""
    found = call(server_probe.probe_mcp_server, server_probe.ProbeServer(name=name, project_id=project))
    output.show(found, _probed)
    return exit_codes.OK if all(entry.ok for entry in _entries(found)) else exit_codes.FAILED


def tools(
    names: Annotated[tuple[str, ...], Parameter(help="Names of servers; absent: all.")] = (),
    *,
    project: Seen = None,
) -> None:
    """List the tools that servers were seen to offer."""
    request = servers.ListCatalog(project_id=project, server_names=tuple(names) or None)
    output.show(call(servers.list_mcp_tool_catalog, request), _catalog)


def _pairs(option: str, given: list[str] | None) -> dict[str, str] | None:
    if given is None:
        return None
    found = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InvalidInput(f"--{option} must be NAME=VALUE, got {pair[:40]!r}", field=option)
        found[name] = value
    return found


def _list(found: servers.ServerList) -> Iterator[RenderableType]:
    yield output.table(
        ("name", "scope", "transport", "tools", "description"),
        (
            (
                server.name,
                "built in" if server.is_builtin else server.project_id or "system",
                server.transport,
                _tools_of(server),
                one_line(server.description, 60),
            )
            for server in found.servers
        ),
    )


def _tools_of(server: servers.ServerSummary) -> RenderableType:
    if server.last_error is not None:
        return output.text(f"failed: {one_line(server.last_error, 60)}", "red")
    return output.text("not probed" if server.tool_count is None else server.tool_count)


def _details(server: servers.ServerDetails) -> Iterator[RenderableType]:
    if server.problem is not None:
        yield output.text(f"warning: this is the last good definition; now: {server.problem}", "yellow")
    config = server.adapter_config
    yield output.facts(
        (
            ("server", server.name),
            ("scope", "built in" if server.is_builtin else server.project_id or "system"),
            ("transport", server.transport),
            ("description", server.description or None),
            ("command", config.get("command")),
            ("arguments", " ".join(config.get("args", ())) or None),
            ("address", config.get("url")),
            ("environment", _lines(config.get("env"))),
            ("headers", _lines(config.get("headers"))),
            ("tools", server.tool_count),
            ("probed", shown(server.last_probed_at)),
            ("error", server.last_error),
        )
    )
    if server.notes:
        yield output.text(f"\n{server.notes}")


def _lines(values: Mapping[str, str] | None) -> str | None:
    return "\n".join(f"{name}={value}" for name, value in values.items()) if values else None


def _created(done: server_write.ServerCreated) -> Iterator[RenderableType]:
    yield output.text(f"MCP server {done.created} created in {done.path}")
    if done.last_error is not None:
        yield from output.warnings([f"it could not be probed: {done.last_error}"])
    elif done.tool_count is not None:
        yield output.hint(f"it offers {done.tool_count} tools", typed(f"mcp-server tools {done.created}"), "")


def _updated(done: server_write.ServerUpdated) -> Iterator[RenderableType]:
    yield output.text(f"MCP server {done.updated} changed in {done.path}")


def _deleted(done: server_write.ServerDeleted) -> Iterator[RenderableType]:
    yield output.text(f"MCP server {done.deleted} deleted: {done.path}")


def _entries(found: server_probe.ServerProbed) -> list[servers.CatalogEntry]:
    probed = found.probed
    return list(probed.values()) if isinstance(probed, Mapping) else [probed]


def _probed(found: server_probe.ServerProbed) -> Iterator[RenderableType]:
    for entry in _entries(found):
        yield from _entry(entry)


def _catalog(found: servers.ToolCatalog) -> Iterator[RenderableType]:
    for entry in found.servers.values():
        yield from _entry(entry)


def _entry(entry: servers.CatalogEntry) -> Iterator[RenderableType]:
    yield output.text(entry.name, "bold")
    if entry.ok is None:
        yield output.hint("  not probed yet", typed(f"mcp-server probe {entry.name}"), "")
    if entry.last_error is not None:
        yield output.text(f"  failed: {entry.last_error}", "red")
    if entry.tools:
        rows = ((f"  {tool.name}", one_line(tool.description, 90)) for tool in entry.tools)
        yield output.table(("  tool", "description"), rows)
