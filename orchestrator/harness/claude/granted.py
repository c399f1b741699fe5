"""Granted tools, spelled as the command line spells them; pure."""

from collections.abc import Collection

from orchestrator.domain.profile import EffectiveProfile
from orchestrator.domain.tools import canonical, is_mcp, launch_name, mcp_name, server_of, split_by_kind


def spelled(name: str) -> str:
    """A stored name as the command line has it: our own tools with their prefix, characters that it does not
    take in the names of servers and tools replaced."""
    launched = launch_name(name)
    server = server_of(launched)
    return launched if server is None else mcp_name(server, launched.removeprefix(f"mcp__{server}__"))


def granted_builtins(effective: EffectiveProfile) -> tuple[str, ...]:
    """Built-ins that the profile allows and does not deny."""
    denied = set(map(canonical, effective.denied_tools))
    return tuple(name for name in split_by_kind(effective.allowed_tools).builtins if name not in denied)


def granted_mcp(effective: EffectiveProfile) -> tuple[str, ...]:
    """Tools of servers, our own included, that the profile allows and does not deny."""
    denied = set(map(spelled, effective.denied_tools))
    kinds = split_by_kind(effective.allowed_tools)
    return tuple(name for name in map(spelled, (*kinds.embedded, *kinds.mcp)) if name not in denied)


def granted(effective: EffectiveProfile) -> frozenset[str]:
    """Everything the agent may call, as the command line names it."""
    return frozenset((*granted_builtins(effective), *granted_mcp(effective)))


def offered_by(server: str, tools: Collection[str]) -> tuple[str, ...]:
    """The tools of a server as the command line calls them."""
    return tuple(mcp_name(server, tool) for tool in tools)


def beyond_grant(effective: EffectiveProfile, offered: Collection[str]) -> tuple[str, ...]:
    """Those of the offered tools of servers that are not granted, sorted."""
    known = granted(effective)
    return tuple(sorted(name for name in offered if is_mcp(name) and name not in known))
