"""What can be typed: every command of the command line, where it lives and what it does."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Entry:
    """`path` is a module below `orchestrator.cli` and a function in it; it is imported when it is called."""

    path: str
    summary: str


SINGLE: Final[dict[str, Entry]] = {
    "up": Entry("up:up", "Run everything in this process: the worker, the vault's sync."),
    "worker": Entry("worker:worker", "Take tasks from the database, beside other workers; shows nothing."),
    "rehearse": Entry("rehearse:rehearse", "Stand in for the model's service, from a script; costs nothing."),
    "api": Entry("api:api", "Answer over HTTP, without a worker."),
    "call": Entry("call:call", "Call any command by its name: JSON in, JSON out."),
    "events": Entry("events:events", "Print what happened; with --follow, what happens."),
    "doctor": Entry("doctor:doctor", "Check this installation and say what to do about each fault."),
    "mcp": Entry("mcp:mcp", "Serve every command over MCP on standard input and output."),
    "tools": Entry("profile:tools", "List the tools and MCP servers that a profile can name."),
    "migrate": Entry("database:migrate", "Bring the database's schema and the vault's documents up to date."),
    "backup": Entry("backup:backup", "Copy the database to a file while it is in use, and check the copy."),
    "restore": Entry("backup:restore", "Make the database what a copy is; nothing may have it open."),
    "move": Entry(
        "move:move", "Copy everything into an empty database of either kind, and compare it row by row."
    ),
}

BELOW: Final[dict[str, dict[str, Entry]]] = {
    "worker": {
        "list": Entry("fleet:list_", "List the workers of all hosts."),
        "drain": Entry("fleet:drain", "Have a worker end or put off what it runs and stop, from afar."),
    },
}
"""Commands of commands that do something by themselves too; each is an `app` in the module of the latter."""

GROUPS: Final[dict[str, tuple[str, dict[str, Entry]]]] = {
    "task": (
        "Ask for work and follow it.",
        {
            "add": Entry("task_change:add", "Ask for a task."),
            "edit": Entry("task_change:edit", "Change a task that has not ended."),
            "answer": Entry("task_answer:answer", "Answer what an agent asked; its session goes on."),
            "cancel": Entry("task_change:cancel", "Cancel a task; a running agent is stopped."),
            "retry": Entry("task_change:retry", "Try a task again that failed, was cancelled or is blocked."),
            "archive": Entry("task_archive:archive", "Move ended tasks to the archive."),
            "list": Entry("task_show:list_", "List tasks, newest first."),
            "show": Entry("task_show:show", "Show a task and its attempts."),
            "explain": Entry("task_show:explain", "Say why a task waits, or what it ran under."),
            "watch": Entry("watch:watch", "Follow what the agent says until the task ends."),
        },
    ),
    "project": (
        "Keep projects: whose tasks, with which default profile, in which checkout.",
        {
            "add": Entry("project:add", "Add a project."),
            "list": Entry("project:list_", "List the projects."),
            "edit": Entry("project:edit", "Change a project."),
            "show": Entry("project:show", "Show a project."),
            "pause": Entry("project:pause", "Start no more of a project's tasks."),
            "resume": Entry("project:resume", "Start a paused project's tasks again."),
        },
    ),
    "schedule": (
        "Ask for tasks by the clock.",
        {
            "add": Entry("schedule_change:add", "Add a schedule, by --cron, --every or --at."),
            "list": Entry("schedule_show:list_", "List the schedules and their next times."),
            "show": Entry("schedule_show:show", "Show a schedule, its next occurrences, those that wait."),
            "edit": Entry("schedule_change:edit", "Change a schedule; new times hold from now on."),
            "remove": Entry("schedule_change:remove", "Remove a schedule; the tasks it made go on."),
            "pause": Entry("schedule_change:pause", "Make no more tasks of a schedule."),
            "resume": Entry("schedule_change:resume", "Let a paused schedule go on."),
            "run": Entry("schedule_change:run", "Make a task of a schedule at once."),
            "preview": Entry("schedule_show:preview", "Say when a schedule occurs, also one not added yet."),
        },
    ),
    "limit": (
        "Limit what runs at once and is spent a day, over all hosts.",
        {
            "set": Entry("limit:set_", "Limit instance, host, profile or model; what is not given stays."),
            "list": Entry("limit:list_", "List the limits, and what counts against each now."),
        },
    ),
    "profile": (
        "Keep profiles: what an agent is and may do.",
        {
            "list": Entry("profile:list_", "List the profiles."),
            "show": Entry("profile:show", "Show a profile as its document says it."),
            "effective": Entry(
                "profile:effective",
                "Show what a profile comes to in a project, and where each value comes from.",
            ),
            "overrides": Entry("profile_write:overrides", "List what each profile is in a project."),
            "add": Entry("profile_write:add", "Add a profile, or a project's own version of one."),
            "edit": Entry(
                "profile_write:edit", "Change fields of a profile, and nothing else of its document."
            ),
            "remove": Entry("profile_write:remove", "Remove a profile, or a project's own version of it."),
            "check": Entry("profile_share:check", "Say whether what a profile needs is installed."),
            "install": Entry("profile_share:install", "Install the packages a profile needs."),
            "export": Entry("profile_share:export", "Print a profile as YAML, or publish it as a gist."),
            "import": Entry("profile_share:import_", "Take a profile from YAML or a gist."),
        },
    ),
    "mcp-server": (
        "Keep the registry of MCP servers that profiles can list.",
        {
            "list": Entry("mcp_server:list_", "List the MCP servers of the registry."),
            "show": Entry("mcp_server:show", "Show how a server is started or reached, its secrets hidden."),
            "add": Entry("mcp_server:add", "Add a server and probe it."),
            "edit": Entry("mcp_server:edit", "Change fields of a server, and nothing else of its document."),
            "delete": Entry("mcp_server:delete", "Remove a server that no profile names any more."),
            "probe": Entry("mcp_server:probe", "Start a server, or all, and ask which tools it offers."),
            "tools": Entry("mcp_server:tools", "List the tools that servers were seen to offer."),
        },
    ),
    "attempt": (
        "Look at single attempts at a task.",
        {
            "show": Entry("attempt:show", "Show what an attempt ran under and how it ended."),
            "log": Entry("attempt:log", "Print what the agent said in an attempt."),
        },
    ),
    "config": (
        "Look at the configuration.",
        {
            "show": Entry("config:show", "Print each setting and where it came from."),
        },
    ),
    "token": (
        "Say who may ask over HTTP.",
        {
            "create": Entry("token:create", "Make a token and print it, this once."),
            "list": Entry("token:list_", "List the tokens, without their secrets."),
            "revoke": Entry("token:revoke", "End a token."),
        },
    ),
    "vault": (
        "Keep the vault and the database in step.",
        {
            "sync": Entry("vault:sync", "Exchange edits with the remote, then record what changed."),
            "status": Entry("vault:status", "Say what the vault holds and what is wrong with it."),
            "resolve": Entry("vault:resolve", "Keep our side or theirs of a file that both changed."),
        },
    ),
}
