"""MCP servers by name: which definition each name of a profile stands for."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from orchestrator.domain.catalog import Catalog
from orchestrator.domain.mcp import McpServer
from orchestrator.domain.secret import missing, references
from orchestrator.domain.tools import EMBEDDED_PREFIX, EMBEDDED_SERVER, mcp_name


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The servers to start, in the order of the names, and the names that cannot be served.

    `embedded` says that the names include our own server, which has no definition: the worker provides it.
    """

    servers: tuple[McpServer, ...]
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    embedded: bool = False


def select_servers(names: Iterable[str], catalog: Catalog) -> Selection:
    """Resolve names in the project first, then in the system; each name once.

    A definition that calls itself like our own server is ignored with a warning: nobody may stand in for
    it. Two names that the agent would show under one prefix cannot be told apart in a grant, so the second
    counts as missing.
    """
    wanted = tuple(dict.fromkeys(names))
    servers: dict[str, McpServer] = {}
    missing: list[str] = []
    warnings = [
        f"the {scope}'s definition of the MCP server {EMBEDDED_SERVER!r} is ignored: it is built in"
        for scope, known in (("project", catalog.project_servers), ("system", catalog.system_servers))
        if EMBEDDED_SERVER in known
    ]
    for name in wanted:
        if name == EMBEDDED_SERVER:
            continue
        server = catalog.project_servers.get(name) or catalog.system_servers.get(name)
        prefix = mcp_name(name, "")
        if server is None:
            missing.append(name)
        elif prefix.startswith(EMBEDDED_PREFIX):
            missing.append(name)
            warnings.append(
                f"the MCP server {name!r} would pass its tools off as those of {EMBEDDED_SERVER!r}"
            )
        elif prefix in servers:
            missing.append(name)
            warnings.append(
                f"the MCP servers {servers[prefix].name!r} and {name!r} would both show their tools "
                f"as {prefix}...; rename one of them"
            )
        else:
            servers[prefix] = server
    return Selection(
        servers=tuple(servers.values()),
        missing=tuple(missing),
        warnings=tuple(warnings),
        embedded=EMBEDDED_SERVER in wanted,
    )


def required_servers(selection: Selection, optional: Collection[str]) -> list[McpServer]:
    """Those without which nothing starts."""
    return [server for server in selection.servers if server.name not in optional]


def required_secrets(selection: Selection, optional: Collection[str]) -> frozenset[str]:
    """Names of the secrets that its servers refer to which are not optional."""
    servers = required_servers(selection, optional)
    return frozenset(name for server in servers for name in references(server))


def without_optional(
    selection: Selection, optional: Collection[str], secrets: Mapping[str, str]
) -> Selection:
    """The selection without the optional servers that cannot be started, each a warning instead. What is
    still missing is required, and so is what lacks a secret."""
    warnings = [*selection.warnings]
    warnings += [
        f"going on without the optional MCP server {name}: it is not defined"
        for name in selection.missing
        if name in optional
    ]
    kept = []
    for server in selection.servers:
        problem = missing(server, secrets) if server.name in optional else None
        if problem is None:
            kept.append(server)
        else:
            warnings.append(f"going on without an optional server: {problem}")
    return replace(
        selection,
        servers=tuple(kept),
        missing=tuple(name for name in selection.missing if name not in optional),
        warnings=tuple(warnings),
    )
