"""The command line of one attempt: what it may do is decided here first; pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from orchestrator.domain.context import TaskContext
from orchestrator.domain.profile import UNLIMITED, EffectiveProfile
from orchestrator.domain.tools import PATH_TOOLS
from orchestrator.harness.claude.config import ClaudeAdapterConfig
from orchestrator.harness.claude.granted import beyond_grant, denied, granted_builtins, granted_mcp
from orchestrator.harness.claude.guard import WRITING
from orchestrator.harness.claude.places import Places
from orchestrator.harness.claude.servers import mcp_document
from orchestrator.harness.claude.settings import flags
from orchestrator.harness.claude.versions import Behaviour

READING: Final = ("Glob", "Grep", "Read")
"""What is pre-approved in plan mode. More would be read as a permission to act, by 2.1.197 even for Bash."""

PATTERN_CHARACTERS: Final = frozenset("*?[]{}()!,\\\n\r\"'")
"""A directory with one of these in its name gets no rule of its own: it would be a pattern, or split the
list."""

INSTRUCTIONS_HEADING: Final = "# Agent Role Instructions"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to run: the words after the program, and the files that must be there, by absolute path."""

    arguments: tuple[str, ...]
    files: Mapping[str, str]
    tools: tuple[str, ...]
    """Built-ins that the process will have, and no others."""
    hidden: tuple[str, ...]
    """Tools taken away by name."""


def plan(
    config: ClaudeAdapterConfig,
    context: TaskContext,
    behaviour: Behaviour,
    offered: Collection[str] = (),
) -> Plan:
    """The start of one attempt.

    `offered` are the tools that the selected servers are known to have, as the command line calls them: those
    that are not granted are hidden by name. Raises StartRefused for a server that cannot be configured.
    """
    effective, places = config.effective, Places.of(context)
    builtins = granted_builtins(effective)
    hidden = hidden_tools(effective, offered)
    credentials = [name for name in config.credentials if name in context.secrets]
    files = {places.mcp_file: mcp_document(context.mcp_servers, context.secrets, credentials)}
    arguments = [
        *_protocol(),
        *_sources(places),
        f"--tools={','.join(builtins)}",
        f"--permission-mode={effective.permission_mode}",
        f"--model={effective.model}",
        *_list_flag("--allowedTools", allow_rules(effective, config.added_directories)),
        *_list_flag("--disallowedTools", hidden),
        *(f"--add-dir={directory}" for directory in config.added_directories),
        *_limits(effective),
        *flags(effective.settings),
        *_session(context, places, behaviour),
    ]
    if effective.max_tokens_per_task != UNLIMITED:
        arguments.append("--include-partial-messages")  # only there is the output of a message counted
    if context.role_instructions.strip():
        files[places.instructions_file] = f"{INSTRUCTIONS_HEADING}\n\n{context.role_instructions}\n"
        arguments.append(f"--append-system-prompt-file={places.instructions_file}")
    return Plan(arguments=tuple(arguments), files=files, tools=builtins, hidden=hidden)


def hidden_tools(effective: EffectiveProfile, offered: Collection[str]) -> tuple[str, ...]:
    """What is denied by name: everything the profile denies, and what its servers offer beyond its list."""
    return tuple(dict.fromkeys((*denied(effective), *beyond_grant(effective, offered))))


def allow_rules(effective: EffectiveProfile, added_directories: Collection[str]) -> tuple[str, ...]:
    """The pre-approvals: scoped for tools that take a path, since their bare name opens the whole disk.

    The command line knows two kinds of scope: a rule for Read holds for Grep and Glob, one for Edit for Write
    and NotebookEdit, and a scoped rule by these other names is silently without effect.
    """
    places = [".", *(f"/{place}" for place in added_directories if not PATTERN_CHARACTERS & set(place))]
    planning = effective.permission_mode == "plan"
    rules: list[str] = []
    for name in granted_builtins(effective):
        if planning and name not in READING:
            continue
        if name in PATH_TOOLS:
            kind = "Edit" if name in WRITING else "Read"
            rules += (f"{kind}({place}/**)" for place in places)
        else:
            rules.append(name)
    return tuple(dict.fromkeys(rules if planning else [*rules, *granted_mcp(effective)]))


def _protocol() -> tuple[str, ...]:
    return ("-p", "--input-format=stream-json", "--output-format=stream-json", "--verbose")


def _sources(places: Places) -> tuple[str, ...]:
    """Nothing of the checkout, the user or the machine: no settings, hooks, plugins or servers but ours."""
    return ("--setting-sources=", "--strict-mcp-config", f"--mcp-config={places.mcp_file}")


def _limits(effective: EffectiveProfile) -> list[str]:
    found = []
    if effective.max_turns != UNLIMITED:
        found.append(f"--max-turns={int(effective.max_turns)}")
    if effective.max_budget_usd != UNLIMITED:
        found.append(f"--max-budget-usd={effective.max_budget_usd:.6f}")
    return found


def _session(context: TaskContext, places: Places, behaviour: Behaviour) -> list[str]:
    if context.resume_transcript is None:
        return [f"--session-id={context.session_id}"] if context.session_id else []
    # Without the switch a stored system prompt would be replayed, and a changed profile have no effect.
    snapshot = ["--system-prompt-snapshot=off"] if behaviour.snapshot_flag else []
    return [f"--resume={places.resumed(context.resume_transcript)}", *snapshot]


def _list_flag(name: str, values: Collection[str]) -> list[str]:
    return [f"{name}={','.join(values)}"] if values else []
