"""The command line: every command by name, loaded when it is called."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, CycloptsError, Group, Parameter

from orchestrator import __version__
from orchestrator.cli import exit_codes, failure
from orchestrator.cli.options import Options, bound
from orchestrator.domain.errors import OrchestratorError

GLOBAL: Final = Group("Everywhere", sort_key=100)
"""Options that any command takes, in any position."""

app: Final = App(
    name="orchestrator",
    help="Run coding agents unattended: durable tasks, governed profiles, whitelists that hold.",
    version=__version__,
    help_format="plaintext",
    default_parameter=Parameter(negative=()),
)

_COMMANDS: Final[dict[str, tuple[str, dict[str, tuple[str, str]]]]] = {
    "task": (
        "Ask for work and follow it.",
        {
            "add": ("task_change:add", "Ask for a task."),
            "edit": ("task_change:edit", "Change a task that has not ended."),
            "cancel": ("task_change:cancel", "Cancel a task; a running agent is stopped."),
            "retry": ("task_change:retry", "Try a task again that failed, was cancelled or is blocked."),
            "list": ("task_show:list_", "List tasks, newest first."),
            "show": ("task_show:show", "Show a task and its attempts."),
            "explain": ("task_show:explain", "Say why a task waits, or what it ran under."),
            "watch": ("watch:watch", "Follow what the agent says until the task ends."),
        },
    ),
    "project": (
        "Keep projects: whose tasks, with which default profile, in which checkout.",
        {
            "add": ("project:add", "Add a project."),
            "list": ("project:list_", "List the projects."),
            "edit": ("project:edit", "Change a project."),
            "show": ("project:show", "Show a project."),
            "pause": ("project:pause", "Start no more of a project's tasks."),
            "resume": ("project:resume", "Start a paused project's tasks again."),
        },
    ),
    "profile": (
        "Look at profiles: what an agent is and may do.",
        {
            "list": ("profile:list_", "List the profiles."),
            "show": ("profile:show", "Show a profile as its document says it."),
            "effective": (
                "profile:effective",
                "Show what a profile comes to in a project, and where each value comes from.",
            ),
        },
    ),
    "attempt": (
        "Look at single attempts at a task.",
        {
            "show": ("attempt:show", "Show what an attempt ran under and how it ended."),
            "log": ("attempt:log", "Print what the agent said in an attempt."),
        },
    ),
    "config": (
        "Look at the configuration.",
        {"show": ("config:show", "Print each setting and where it came from.")},
    ),
    "vault": (
        "Keep the vault and the database in step.",
        {
            "sync": ("vault:sync", "Read the vault and record what changed."),
            "status": ("vault:status", "Say what the vault holds and what is wrong with it."),
        },
    ),
}

_SINGLE: Final[dict[str, tuple[str, str]]] = {
    "up": ("up:up", "Run everything in this process: the worker, the vault's sync."),
    "rehearse": ("rehearse:rehearse", "Stand in for the model's service, from a script; costs nothing."),
    "doctor": ("doctor:doctor", "Check this installation and say what to do about each fault."),
    "tools": ("profile:tools", "List the tools and MCP servers that a profile can name."),
    "migrate": ("database:migrate", "Bring the database's schema up to date."),
}


def _register() -> None:
    for name, (path, text) in _SINGLE.items():
        app.command(f"orchestrator.cli.{path}", name=name, help=text)
    for name, (text, members) in _COMMANDS.items():
        group = App(name=name, help=text)
        app.command(group)
        for member, (path, summary) in members.items():
            group.command(f"orchestrator.cli.{path}", name=member, help=summary)
    app.register_install_completion_command(name="completion", help="Install completion for your shell.")


_register()
app.meta.group_parameters = GLOBAL


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    home: Annotated[Path | None, Parameter(help="Directory of all state, as ORCHESTRATOR_HOME.")] = None,
    database: Annotated[str | None, Parameter(help="Address of the database; see `config show`.")] = None,
    json: Annotated[bool, Parameter(help="Print JSON, errors included.", negative=())] = False,
) -> object:
    with bound(Options(home=home, database=database, json=json)):
        return app(tokens, exit_on_error=False, print_error=False, result_action="return_value")


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; the errors go to stderr."""
    as_json = "--json" in arguments
    try:
        result = app.meta(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        return failure.usage(str(error), as_json=as_json)
    except OrchestratorError as error:
        return failure.expected(error, as_json=as_json)
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        # What is left in the buffer has no reader: give the interpreter's last flush somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.BROKEN_PIPE
    except OSError as error:
        return failure.unusable(error, as_json=as_json)
    except ExceptionGroup as group:
        return failure.several(group, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - the outermost edge: logged to a file, told in one line
        return failure.unexpected(error, as_json=as_json)
    return result if isinstance(result, int) else exit_codes.OK


def main(arguments: Sequence[str] | None = None) -> None:
    """The program `orchestrator`."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))
