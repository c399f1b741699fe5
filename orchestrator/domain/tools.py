"""Names of tools: what they mean, how they are stored, and how the agent's command line wants them."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from orchestrator.domain.known_servers import KNOWN_MCP_SERVERS
from orchestrator.domain.known_tools import ALIASES, KNOWN_TOOLS

EMBEDDED_SERVER: Final = "agent-queue"
EMBEDDED_PREFIX: Final = f"mcp__{EMBEDDED_SERVER}__"
MCP_PREFIX: Final = "mcp__"


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddedTool:
    """A tool of our own server: a command that agents may be granted."""

    name: str
    description: str


EMBEDDED_TOOLS: Final = (
    EmbeddedTool(name="ask_human", description="Ask a person; the task waits for the answer."),
    EmbeddedTool(name="create_task", description="Queue a task in the same project."),
    EmbeddedTool(name="explain_task", description="Why a task is in its state, and what it waits for."),
    EmbeddedTool(name="get_profile", description="One profile in full."),
    EmbeddedTool(name="get_task", description="One task in full."),
    EmbeddedTool(name="list_available_tools", description="Tools and MCP servers that a profile can name."),
    EmbeddedTool(name="list_profiles", description="All profiles, in short."),
    EmbeddedTool(name="list_tasks", description="Tasks of the project, in short."),
    EmbeddedTool(name="report_progress", description="Say how far the work has come."),
)

EMBEDDED_NAMES: Final = frozenset(tool.name for tool in EMBEDDED_TOOLS)
BUILTIN_NAMES: Final = frozenset(tool.name for tool in KNOWN_TOOLS)
KNOWN_TOOL_NAMES: Final = BUILTIN_NAMES | EMBEDDED_NAMES
KNOWN_MCP_NAMES: Final = frozenset(server.name for server in KNOWN_MCP_SERVERS)

PATH_TOOLS: Final = frozenset({"Edit", "Glob", "Grep", "NotebookEdit", "Read", "Write"})
"""Built-ins that take a path. Pre-approved by a bare name they reach the whole disk, so they need a rule
with a scope."""

EXECUTING_TOOLS: Final = frozenset({"Bash", "Monitor"})
"""Built-ins that run commands; no rule about paths holds them."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_LONGEST: Final = 200


class BadToolName(ValueError):
    """This cannot be the name of a tool."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolsByKind:
    """A list of granted tools, sorted by who provides them; each keeps the order of the list.

    `builtins` and `mcp` are names as the command line has them, `embedded` are bare.
    """

    builtins: tuple[str, ...]
    embedded: tuple[str, ...]
    mcp: tuple[str, ...]


def canonical(name: str) -> str:
    """The name under which a tool is stored and compared.

    Our own server's prefix is removed; those of others stay, since nothing else tells their tools apart.
    Earlier names of built-ins become today's: the agent reports `Agent` as `Task`.
    """
    bare = name.removeprefix(EMBEDDED_PREFIX)
    return ALIASES.get(bare, bare) if bare == name else bare


def check_name(name: str) -> str:
    """The name itself. Raises BadToolName when it could be read as anything but one tool's exact name."""
    if not name:
        raise BadToolName("a tool name must not be empty")
    if len(name) > _LONGEST:
        raise BadToolName(f"tool name {name[:40]!r}... is longer than {_LONGEST} characters")
    if "*" in name:
        raise BadToolName(f"tool name {name!r} has a wildcard; name each tool instead")
    if "(" in name or ")" in name:
        raise BadToolName(f"tool name {name!r} has parentheses; a tool is granted whole, by its bare name")
    if not _NAME.match(name):
        bad = next((char for char in name if not _NAME.match(f"_{char}")), name[0])
        raise BadToolName(
            f"tool name {name!r} must not have {bad!r} there; give one name per entry,"
            " made of letters, digits, '_', '-' and '.'"
        )
    if is_mcp(name) and server_of(name) is None:
        raise BadToolName(f"tool name {name!r} is incomplete; write mcp__<server>__<tool>")
    return name


def is_mcp(name: str) -> bool:
    """Whether the name has the form of a tool of some MCP server, ours included."""
    return name.startswith(MCP_PREFIX)


def server_of(name: str) -> str | None:
    """The server in `mcp__<server>__<tool>`, `None` for every other name. It ends at the first `__`."""
    server, separator, tool = name.removeprefix(MCP_PREFIX).partition("__")
    return server if is_mcp(name) and server and separator and tool else None


def mcp_name(server: str, tool: str) -> str:
    """What the command line calls a server's tool: characters it does not take become `_`."""
    return MCP_PREFIX + "__".join(re.sub(r"[^A-Za-z0-9_-]", "_", part) for part in (server, tool))


def launch_name(name: str, embedded: Collection[str] = EMBEDDED_NAMES) -> str:
    """The name as the command line wants it: with our server's prefix when the tool is one of ours."""
    bare = canonical(name)
    return EMBEDDED_PREFIX + bare if bare in embedded else bare


def split_by_kind(allowed: Iterable[str], embedded: Collection[str] = EMBEDDED_NAMES) -> ToolsByKind:
    """Sort granted tools by who provides them; doubles are dropped. Unknown bare names count as built-ins."""
    names = tuple(dict.fromkeys(map(canonical, allowed)))
    ours = tuple(name for name in names if name in embedded)
    return ToolsByKind(
        builtins=tuple(name for name in names if name not in embedded and not is_mcp(name)),
        embedded=ours,
        mcp=tuple(name for name in names if name not in embedded and is_mcp(name)),
    )


def validate_tool_names(names: Iterable[str], extra: Collection[str] = ()) -> list[str]:
    """Those that nobody knows, in order. A complete MCP name is never unknown: its server may be anyone's.

    `extra` are further names that are known, such as those of plugins.
    """
    known = KNOWN_TOOL_NAMES | set(extra)
    return [name for name in names if canonical(name) not in known and server_of(name) is None]


def suggestion(name: str) -> str | None:
    """The known name nearest to this one, when one is near. Names are case-sensitive."""
    candidates = sorted(KNOWN_TOOL_NAMES | ALIASES.keys())
    folded = {candidate.casefold().replace("_", ""): candidate for candidate in candidates}
    near = get_close_matches(name.casefold().replace("_", ""), folded, n=1, cutoff=0.75)
    return canonical(folded[near[0]]) if near else None


def unknown_tool_message(name: str) -> str:
    """What to tell whoever wrote an unknown name."""
    nearest = suggestion(name)
    hint = f"; did you mean {nearest!r}?" if nearest else "; `list_available_tools` shows those that are"
    return f"tool {name!r} is not known{hint}"
