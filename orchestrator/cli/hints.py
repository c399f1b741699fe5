"""What to type next, such that it works when it is copied."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

from orchestrator.cli.options import current

NAME: Final = "orchestrator"


def typed(command: str) -> str:
    """A command line for the terminal at hand: this very program, with the home and database of this one."""
    options = current()
    parts = [program()]
    if options.home is not None:
        parts.append(f"--home {shlex.quote(str(options.home))}")
    if options.database is not None and "@" not in options.database:  # it may hold a password
        parts.append(f"--database {shlex.quote(options.database)}")
    return " ".join([*parts, command])


def elsewhere(home: Path) -> str | None:
    """What makes another terminal find this installation: nothing where it does so by itself, and where
    `typed` names the home."""
    if current().home is not None or "ORCHESTRATOR_HOME" not in os.environ:
        return None
    return f"export ORCHESTRATOR_HOME={shlex.quote(str(home))}"


def program() -> str:
    """The shortest name under which a shell here finds the program that runs."""
    ours = _ours()
    found = shutil.which(NAME)
    if ours is None or (found is not None and Path(found).samefile(ours)):
        return NAME
    inside = str(ours.relative_to(Path.cwd()) if ours.is_relative_to(Path.cwd()) else ours)
    return shlex.quote(inside if "/" in inside else f"./{inside}")


def _ours() -> Path | None:
    """The script that was started, or the one beside the interpreter."""
    for path in (Path(sys.argv[0]), Path(sys.executable).with_name(NAME)):
        if path.name == NAME and path.is_file():
            return path.absolute()
    return None
