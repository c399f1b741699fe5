"""Which tools a list of rules grants: one answer for the preview, the launch and every call."""

from collections.abc import Iterable
from typing import Final

from orchestrator.domain.profile import EffectiveProfile
from orchestrator.domain.tools import (
    BUILTIN_NAMES,
    EMBEDDED_NAMES,
    EMBEDDED_PREFIX,
    EMBEDDED_SERVER,
    MCP_PREFIX,
    canonical,
    is_mcp,
    mcp_name,
)

ANY: Final = "*"
EMBEDDED_RULE: Final = EMBEDDED_PREFIX + ANY


def rule(name: str) -> str:
    """A rule as it is stored and compared: an exact name, or `mcp__<server>__*` for a whole server.

    `mcp__<server>` alone means the whole server. Our own server's tools are bare, but its server-wide rule
    keeps the prefix: without it, it would read as every tool there is.
    """
    if name in (EMBEDDED_PREFIX.removesuffix("__"), EMBEDDED_RULE):
        return EMBEDDED_RULE
    known = canonical(name)
    server, _, tool = known.removeprefix(MCP_PREFIX).partition("__")
    if not is_mcp(known) or not server or ANY in server:
        return known
    if ANY in tool or not tool:
        return mcp_name(server, "") + (tool or ANY)
    return mcp_name(server, tool)


def rules(names: Iterable[str]) -> tuple[str, ...]:
    """Rules in their order, each once."""
    return tuple(dict.fromkeys(map(rule, names)))


def is_server_wide(rule: str) -> bool:
    """Whether the rule is `mcp__<server>__*`, the only pattern that an allow list may hold."""
    server = rule.removeprefix(MCP_PREFIX).removesuffix("__" + ANY)
    return is_mcp(rule) and rule.endswith("__" + ANY) and bool(server) and ANY not in server


def covers(outer: str, inner: str) -> bool:
    """Whether the allow rule `outer` grants all that the allow rule `inner` does."""
    if outer == inner:
        return True
    prefix = outer.removesuffix(ANY)
    return is_server_wide(outer) and any(name.startswith(prefix) for name in names_of(inner))


def denies(denied: str, inner: str) -> bool:
    """Whether a deny rule takes away all that an allow rule grants. A deny rule may end in `*` anywhere:
    reading one too widely takes a tool away, reading one too narrowly would permit it."""
    if ANY not in denied:
        return denied == inner
    prefix = denied.partition(ANY)[0]
    return any(name.startswith(prefix) for name in names_of(inner))


def overlaps(denied: str, inner: str) -> bool:
    """Whether a deny rule takes away any of what an allow rule grants."""
    if denies(denied, inner):
        return True
    if not is_server_wide(inner):
        return False
    prefix = inner.removesuffix(ANY)
    return any(name.partition(ANY)[0].startswith(prefix) for name in names_of(denied))


def names_of(name: str) -> tuple[str, ...]:
    """The bare name, and for a tool of our own server the one with its prefix as well."""
    return (name, EMBEDDED_PREFIX + name) if name in EMBEDDED_NAMES else (name,)


def grants(effective: EffectiveProfile, tool_name: str) -> bool:
    """Whether a call of this tool is granted.

    The name may be as stored or as the agent reports it, so `create_task` and
    `mcp__agent-queue__create_task` are one. A deny rule wins over every allow rule. A tool of another MCP
    server also needs that server in the profile's list: naming a tool starts no server.
    """
    called = rule(tool_name)
    if ANY in called:
        return False
    embedded = tool_name.startswith(EMBEDDED_PREFIX)
    if embedded and called in BUILTIN_NAMES:
        return False
    asked = (called, tool_name) if embedded else (called,)
    if any(denies(rule(denied), name) for denied in effective.denied_tools for name in asked):
        return False
    if is_mcp(called) and not embedded and not _server_is_listed(effective.mcp_servers, called):
        return False
    return any(covers(rule(allowed), name) for allowed in effective.allowed_tools for name in asked)


def granted_embedded(effective: EffectiveProfile) -> tuple[str, ...]:
    """The tools of our own server that are granted, sorted."""
    return tuple(sorted(name for name in EMBEDDED_NAMES if grants(effective, name)))


def _server_is_listed(servers: tuple[str, ...], name: str) -> bool:
    return any(name.startswith(mcp_name(server, "")) for server in (*servers, EMBEDDED_SERVER))


def without_servers(effective: EffectiveProfile) -> tuple[str, ...]:
    """Allowed MCP tools whose server the profile does not list; they are never granted."""
    return tuple(
        name
        for name in effective.allowed_tools
        if is_mcp(name) and not _server_is_listed(effective.mcp_servers, name)
    )


def intersect(allowed: Iterable[str], ceiling: Iterable[str]) -> tuple[str, ...]:
    """What both lists grant, in the order of the first. Nothing in common is `()`, never a default."""
    theirs, ours = rules(ceiling), rules(allowed)
    return tuple(
        dict.fromkeys(
            kept
            for mine in ours
            for kept in (
                (mine,) if any(covers(t, mine) for t in theirs) else [t for t in theirs if covers(mine, t)]
            )
        )
    )


def subtract(allowed: Iterable[str], denied: Iterable[str]) -> tuple[str, ...]:
    """The allow rules of which the deny rules leave something."""
    taken = rules(denied)
    return tuple(mine for mine in rules(allowed) if not any(denies(d, mine) for d in taken))
