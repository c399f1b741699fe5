"""What is granted, in the words of the command line; pure."""

from collections.abc import Collection

from orchestrator.domain.grants import ANY, denies, grants, is_server_wide, rule, rules, without_servers
from orchestrator.domain.profile import EffectiveProfile
from orchestrator.domain.tools import is_mcp, launch_name, mcp_name, split_by_kind


def granted_builtins(effective: EffectiveProfile) -> tuple[str, ...]:
    """Built-ins that the profile grants."""
    return tuple(name for name in split_by_kind(effective.allowed_tools).builtins if grants(effective, name))


def granted_mcp(effective: EffectiveProfile) -> tuple[str, ...]:
    """Tools of servers that the profile grants, our own included: exact names, or `mcp__<server>__*`."""
    orphans = rules(without_servers(effective))
    kept = []
    for allowed in rules(effective.allowed_tools):
        launched = launch_name(allowed)
        whole = is_server_wide(allowed) and allowed not in orphans and not _is_denied(effective, allowed)
        if whole or (is_mcp(launched) and grants(effective, launched)):
            kept.append(launched)
    return tuple(kept)


def denied(effective: EffectiveProfile) -> tuple[str, ...]:
    """What the profile denies, as far as the command line understands the pattern. What it would not is
    hidden by exact name once it is offered, and refused by the guard in any case."""
    known = rules(effective.denied_tools)
    return tuple(launch_name(name) for name in known if ANY not in name or is_server_wide(name))


def offered_by(server: str, tools: Collection[str]) -> tuple[str, ...]:
    """The tools of a server as the command line calls them."""
    return tuple(mcp_name(server, tool) for tool in tools)


def beyond_grant(effective: EffectiveProfile, offered: Collection[str]) -> tuple[str, ...]:
    """Those of the offered tools that are not granted, sorted."""
    return tuple(sorted(name for name in offered if not grants(effective, name)))


def _is_denied(effective: EffectiveProfile, allowed: str) -> bool:
    return any(denies(rule(name), allowed) for name in effective.denied_tools)
