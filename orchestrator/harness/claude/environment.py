"""Variables that Claude Code is started with, beside those of every agent; pure."""

from orchestrator.domain.context import TaskContext
from orchestrator.harness.claude.config import ClaudeAdapterConfig
from orchestrator.harness.claude.places import Places

QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
}
"""With these every connection was seen to go to the API and nowhere else."""

UNATTENDED = {
    "CLAUDE_CODE_DISABLE_ATTACHMENTS": "1",  # else `@/path` in a prompt reads that file, whatever is granted
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",  # else the process lives on with them, and reports twice
    "ENABLE_TOOL_SEARCH": "false",  # else tools are called that were never listed
    "MCP_CONNECTION_NONBLOCKING": "0",  # else the first request goes without servers that are slow
    "MCP_CONNECT_TIMEOUT_MS": "30000",
    "MCP_TIMEOUT": "30000",
}

TODO_LIST = "TodoWrite"
TASK_LIST = {"TaskCreate", "TaskGet", "TaskList", "TaskUpdate"}
"""Two ways to keep a list of things to do, of which the command line has one at a time: the second, unless it
is told otherwise. A profile that names the first gets it."""

REHEARSAL_KEY = "rehearsal"
"""Stands in for a key: a rehearsal never sees a real one."""


def claude_variables(config: ClaudeAdapterConfig, context: TaskContext) -> dict[str, str]:
    """The variables; they hold credentials."""
    places = Places.of(context)
    variables = {
        **QUIET,
        **UNATTENDED,
        "CLAUDE_CONFIG_DIR": places.config,
        "CLAUDE_CODE_TMPDIR": places.temporary,
        "CLAUDE_CODE_MAX_RETRIES": str(config.max_retries),
        "API_TIMEOUT_MS": str(int(config.api_timeout_seconds * 1000)),
    }
    if config.base_url is not None:
        variables["ANTHROPIC_BASE_URL"] = config.base_url
    granted = set(config.effective.allowed_tools)
    if TODO_LIST in granted and not granted & TASK_LIST:
        variables["CLAUDE_CODE_ENABLE_TASKS"] = "0"
    if may_bypass(config):
        variables["IS_SANDBOX"] = "1"  # as root the mode is refused without it
    variables |= config.environment
    if config.rehearsal:
        headers = f"X-Orchestrator-Task: {context.task_id}\nX-Orchestrator-Attempt: {context.attempt}"
        return {**variables, "ANTHROPIC_API_KEY": REHEARSAL_KEY, "ANTHROPIC_CUSTOM_HEADERS": headers}
    return variables | {name: context.secrets[name] for name in config.credentials if name in context.secrets}


def may_bypass(config: ClaudeAdapterConfig) -> bool:
    """Whether the profile, the policy and a sandbox all say that permissions may be bypassed."""
    return (
        config.effective.permission_mode == "bypassPermissions" and config.allow_bypass and config.sandboxed
    )
