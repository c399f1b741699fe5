"""The command line: every command by name, loaded when it is called."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, CycloptsError, Group, Parameter, UnusedCliTokensError

from orchestrator import __version__
from orchestrator.cli import exit_codes, failure
from orchestrator.cli.menu import BELOW, GROUPS, SINGLE
from orchestrator.cli.options import Options, bound
from orchestrator.domain.errors import OrchestratorError

GLOBAL: Final = Group("Everywhere", sort_key=100)
"""Options that any command takes, in any position."""

OWN: Final = Group("Parameters", sort_key=1)
"""Options and arguments of one command."""


def _default(value: object) -> str | None:
    """What `--help` says of a default. That a flag is off unless it is given, and a list empty, goes without
    saying."""
    return str(value) if value or (value == 0 and value is not False) else None


app: Final = App(
    name="orchestrator",
    help="Run coding agents unattended: durable tasks, governed profiles, whitelists that hold.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(negative=(), show_default=_default),
)


def _register() -> None:
    for name, entry in SINGLE.items():
        if name in BELOW:
            path = f"{entry.path.partition(':')[0]}:app"
            app.command(f"orchestrator.cli.{path}", name=name, help=entry.summary)
        else:
            # Named here, since what is loaded when it is called would be shown among the options of all.
            command = f"orchestrator.cli.{entry.path}"
            app.command(command, name=name, help=entry.summary, group_parameters=OWN)
    for name, (text, members) in GROUPS.items():
        group = App(name=name, help=text)
        app.command(group)
        for member, entry in members.items():
            group.command(f"orchestrator.cli.{entry.path}", name=member, help=entry.summary)
    app.register_install_completion_command(name="completion", help="Install completion for your shell.")


_register()
app.meta.group_parameters = GLOBAL


AsJson = Annotated[bool, Parameter(help="Print JSON, errors included.", negative=(), show_default=False)]


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    home: Annotated[Path | None, Parameter(help="Directory of all state, as ORCHESTRATOR_HOME.")] = None,
    database: Annotated[str | None, Parameter(help="Address of the database; see `config show`.")] = None,
    json: Annotated[
        bool, Parameter(help="Print JSON, errors included.", negative=(), show_default=False)
    ] = False,
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
        return failure.usage(_wrong(error), below=error.command_chain or (), as_json=as_json)
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


def _wrong(error: CycloptsError) -> str:
    """What is wrong with the command line, in words that its user knows."""
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"Unexpected argument {error.unused_tokens[0]!r}: there is no place for it."
    return str(error)


def main(arguments: Sequence[str] | None = None) -> None:
    """The program `orchestrator`."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))
