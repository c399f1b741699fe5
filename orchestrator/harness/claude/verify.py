"""Verifying: what the agent reports of itself, against what it was to be; pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.domain.grants import ANY
from orchestrator.domain.outcome import ServerMissing, ToolSurplus
from orchestrator.domain.profile import EffectiveProfile
from orchestrator.domain.tools import canonical
from orchestrator.harness.claude.granted import beyond_grant, granted_builtins, granted_mcp, offered_by

CONNECTED = "connected"
PENDING = "pending"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerState:
    """A server as the agent sees it."""

    name: str
    status: str
    tools: tuple[str, ...] = ()
    """As the command line calls them; empty until it is connected."""
    error: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What was reported and what follows. `fault` ends the attempt; warnings are recorded with it."""

    tools: tuple[str, ...]
    servers: Mapping[str, str]
    fault: ToolSurplus | ServerMissing | None = None
    warnings: tuple[str, ...] = ()


def server_states(entries: object) -> tuple[ServerState, ...]:
    """Read the servers of `mcp_status` or of `init`; entries of another form are left out."""
    found = []
    for entry in entries if isinstance(entries, Sequence) and not isinstance(entries, str) else ():
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
            continue
        listed = entry.get("tools")
        names = (
            [tool.get("name") for tool in listed if isinstance(tool, Mapping)]
            if isinstance(listed, list)
            else []
        )
        error = entry.get("error")
        found.append(
            ServerState(
                name=entry["name"],
                status=str(entry.get("status", "unknown")),
                tools=offered_by(entry["name"], [name for name in names if isinstance(name, str)]),
                error=str(error) if error else None,
            )
        )
    return tuple(found)


def with_last_words(states: Sequence[ServerState], words: Mapping[str, str]) -> tuple[ServerState, ...]:
    """The states, those of servers that are not connected with what these said themselves."""
    return tuple(
        replace(state, error=": ".join(filter(None, (state.error, words[state.name]))))
        if state.status != CONNECTED and state.name in words and words[state.name] not in (state.error or "")
        else state
        for state in states
    )


def missing_servers(states: Sequence[ServerState], required: Collection[str]) -> ServerMissing | None:
    """Required servers that are not connected, with the agent's own reason where it gives one."""
    reasons = _not_connected(states, required)
    if not reasons:
        return None
    return ServerMissing(
        message=f"MCP servers are not connected: {_listed(reasons)}. "
        "Check their documents, commands and secrets.",
        servers=tuple(sorted(reasons)),
    )


def going_on_without(states: Sequence[ServerState], optional: Collection[str]) -> tuple[str, ...]:
    """The warning for optional servers that are not connected; none when all are."""
    reasons = _not_connected(states, optional)
    return (f"going on without optional MCP servers: {_listed(reasons)}",) if reasons else ()


def _not_connected(states: Sequence[ServerState], names: Collection[str]) -> Mapping[str, str]:
    by_name = {state.name: state for state in states}
    reasons = {}
    for name in names:
        state = by_name.get(name)
        if state is None:
            reasons[name] = "not accepted by the agent"
        elif state.status != CONNECTED:
            reasons[name] = f"{state.status}: {state.error}" if state.error else state.status
    return reasons


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{name} ({why})" for name, why in sorted(reasons.items()))


def compare(
    init: Mapping[str, Any],
    effective: EffectiveProfile,
    required: Collection[str],
) -> Comparison:
    """The agent's first message against its profile.

    A tool or server beyond the profile ends the attempt, and so does another permission mode or a required
    server that is not connected; a tool that is missing can do no harm and is a warning.
    """
    reported = init.get("tools")
    tools = tuple(tool for tool in reported if isinstance(tool, str)) if isinstance(reported, list) else ()
    states = server_states(init.get("mcp_servers"))
    servers = {state.name: state.status for state in states}
    surplus_tools = beyond_grant(effective, tools)
    surplus_servers = tuple(sorted(set(servers) - set(required)))
    beyond = _beyond(init, effective, surplus_tools, surplus_servers)
    needed = [name for name in required if name not in effective.optional_servers]
    fault: ToolSurplus | ServerMissing | None = missing_servers(states, needed)
    if beyond:
        fault = _surplus(effective, beyond, surplus_tools, surplus_servers)
    warnings = _differences(init, effective, set(map(canonical, tools)))
    return Comparison(tools=tools, servers=servers, fault=fault, warnings=warnings)


def _beyond(
    init: Mapping[str, Any], effective: EffectiveProfile, tools: Sequence[str], servers: Sequence[str]
) -> str:
    """What goes beyond the profile, in words; empty when nothing does."""
    parts = [f"the tools {', '.join(tools)}"] if tools else []
    parts += [f"the servers {', '.join(servers)}"] if servers else []
    if not isinstance(init.get("tools"), list):
        parts.append("no list of tools")
    if (mode := init.get("permissionMode")) != effective.permission_mode:
        parts.append(f"the permission mode {mode}")
    return " and ".join(parts)


def _surplus(
    effective: EffectiveProfile, beyond: str, tools: tuple[str, ...], servers: tuple[str, ...]
) -> ToolSurplus:
    return ToolSurplus(
        message=(
            f"The agent reported {beyond}, which profile {effective.profile_id} does not grant; it was ended "
            "before it could act. This version of the command line may not be supported: pin one that is."
        ),
        tools=tools,
        servers=servers,
    )


def _differences(
    init: Mapping[str, Any], effective: EffectiveProfile, tools: Collection[str]
) -> tuple[str, ...]:
    warnings = []
    expected = (*granted_builtins(effective), *granted_mcp(effective))
    missing = [name for name in expected if canonical(name) not in tools and ANY not in name]
    if missing:
        warnings.append(f"granted, but not there: {', '.join(missing)}")
    model = init.get("model")
    if isinstance(model, str) and model.partition("[")[0] != effective.model.partition("[")[0]:
        warnings.append(f"model is {model}, not {effective.model}")
    return tuple(warnings)
