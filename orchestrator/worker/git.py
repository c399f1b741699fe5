"""Git for checkouts: in one directory, with nothing of a repository's own code run."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orchestrator.vault.git import process
from orchestrator.vault.git.process import GitFailed

__all__ = ["GitFailed", "git", "without_filters"]

_FILTER: Final = re.compile(r"(filter\..*\.)(clean|smudge|process|required)", re.DOTALL)


def git(directory: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run git there and return what it printed, without the last newline. Blocks. Raises GitFailed.

    `env` is added to the environment, which is otherwise clean.
    """
    environment = {**process.environment(os.environ), **(env or {})}
    try:
        return process.git(("-C", str(directory)), *arguments, env=environment)
    except GitFailed as error:
        message = f"In {directory}: {error}"
        raise GitFailed(message, said=error.said, reason=error.reason) from error


def without_filters(directory: Path) -> dict[str, str]:
    """For `env`: no program that the repository's configuration names as a filter is run, whatever its
    attributes say. The files are then as they are in the commits: of those in large file storage, the
    pointers. Raises GitFailed.

    Of everything else that a repository can name, writing a work tree was measured to run nothing.
    """
    names = git(directory, "config", "--list", "--name-only", "-z").split("\0")
    drivers = sorted({found[1] for name in names if (found := _FILTER.fullmatch(name))})
    # Not by `-c`, which would take a name with `=` in it for another.
    settings = {f"{driver}{key}": "" for driver in drivers for key in ("clean", "smudge", "process")}
    settings |= {f"{driver}required": "false" for driver in drivers}
    env = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return env
