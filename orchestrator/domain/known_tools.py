"""Built-in tools of the agent's command line, as it reports them itself.

Written by `python -m orchestrator.rehearsal.known_tools`; change that, not this.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownTool:
    """A built-in tool, the versions it was seen in, and whether it is there without being named."""

    name: str
    description: str
    versions: tuple[str, ...]
    unasked: bool


KNOWN_TOOLS: Final = (
    KnownTool(
        name="Agent",
        description="Launch a new agent to handle complex, multi-step tasks.",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="AskUserQuestion",
        description="Use this tool only when you are blocked on a decision that is genuinely the user's…",
        versions=("2.1.329", "2.1.197"),
        unasked=False,
    ),
    KnownTool(
        name="Bash",
        description="Executes a given bash command and returns its output.",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="CronCreate",
        description="Schedule a prompt to be enqueued at a future time.",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="CronDelete",
        description="Cancel a cron job previously scheduled with CronCreate.",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="CronList",
        description="List all cron jobs scheduled via CronCreate, both durable…",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="Edit",
        description="Performs exact string replacements in files.",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="EnterPlanMode",
        description="Use this tool proactively when you're about to start a non-trivial implementation…",
        versions=("2.1.329", "2.1.197"),
        unasked=False,
    ),
    KnownTool(
        name="EnterWorktree",
        description="Use this tool ONLY when explicitly instructed to work in a worktree — either by…",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="ExitPlanMode",
        description="Use this tool when you are in plan mode and have finished writing your plan to the…",
        versions=("2.1.329", "2.1.197"),
        unasked=False,
    ),
    KnownTool(
        name="ExitWorktree",
        description="Exit a worktree session created by EnterWorktree and return the session to the…",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="Glob",
        description="Fast file pattern matching tool that works with any codebase size",
        versions=("2.1.329", "2.1.197"),
        unasked=False,
    ),
    KnownTool(
        name="Grep",
        description="A powerful search tool built on ripgrep",
        versions=("2.1.329", "2.1.197"),
        unasked=False,
    ),
    KnownTool(
        name="ListAgents",
        description="Lists agents you can SendMessage to — in-process subagents you spawned, the…",
        versions=("2.1.329",),
        unasked=True,
    ),
    KnownTool(
        name="ListMcpResourcesTool",
        description="List available resources from configured MCP servers.",
        versions=("2.1.329", "2.1.197"),
        unasked=False,
    ),
    KnownTool(
        name="Monitor",
        description="Start a background monitor that streams events from a long-running script.",
        versions=("2.1.329",),
        unasked=True,
    ),
    KnownTool(
        name="NotebookEdit",
        description="Replaces, inserts, or deletes a single cell in a Jupyter notebook (.ipynb file).",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="Read",
        description="Reads a file from the local filesystem.",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="ReadMcpResourceDirTool",
        description="List the direct children of a directory resource on an MCP server…",
        versions=("2.1.329", "2.1.197"),
        unasked=False,
    ),
    KnownTool(
        name="ReadMcpResourceTool",
        description="Reads a specific resource from an MCP server, identified by server name and…",
        versions=("2.1.329", "2.1.197"),
        unasked=False,
    ),
    KnownTool(
        name="ReportFindings",
        description="Report code-review findings as a typed list so the host UI can render them.",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="ScheduleWakeup",
        description="Schedule when to resume work in /loop dynamic mode — the user invoked /loop…",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="SendMessage",
        description="Send a message to another agent.",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="Skill",
        description="Invoke a skill.",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="StructuredOutput",
        description="Use this tool to return your final response in the requested structured format.",
        versions=("2.1.329", "2.1.197"),
        unasked=False,
    ),
    KnownTool(
        name="TaskCreate",
        description="Use this tool to create a structured task list for your current coding session.",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="TaskGet",
        description="Use this tool to retrieve a task by its ID from the task list.",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="TaskList",
        description="Use this tool to list all tasks in the task list.",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="TaskOutput",
        description="DEPRECATED: Background tasks return their output file path in the tool result, and…",
        versions=("2.1.197",),
        unasked=True,
    ),
    KnownTool(
        name="TaskStop",
        description="Stops a running background task by its ID",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="TaskUpdate",
        description="Use this tool to update a task in the task list.",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="TodoWrite",
        description="Use this tool to create and manage a structured task list for your current coding…",
        versions=("2.1.329", "2.1.197"),
        unasked=False,
    ),
    KnownTool(
        name="ToolSearch",
        description="Fetches full schema definitions for deferred tools so they can be called.",
        versions=("2.1.329", "2.1.197"),
        unasked=False,
    ),
    KnownTool(
        name="WebFetch",
        description="Fetches content from a specified URL and processes it using an AI model",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="WebSearch",
        description="Allows Claude to search the web and use the results to inform responses",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="Workflow",
        description="Execute a workflow script that orchestrates multiple subagents deterministically.",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
    KnownTool(
        name="Write",
        description="Writes a file to the local filesystem.",
        versions=("2.1.329", "2.1.197"),
        unasked=True,
    ),
)

ALIASES: Final[Mapping[str, str]] = {
    "AgentOutputTool": "TaskOutput",
    "BashOutput": "TaskOutput",
    "BashOutputTool": "TaskOutput",
    "KillBash": "TaskStop",
    "KillShell": "TaskStop",
    "Task": "Agent",
}
"""Earlier names that are still understood. The agent reports `Agent` as `Task` in its first message."""
