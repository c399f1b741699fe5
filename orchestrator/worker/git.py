"""Git for checkouts: the command line, with nothing of a repository's own code run."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orchestrator.domain.errors import OrchestratorError

SECONDS: Final = 600.0
"""A worktree of a very large repository takes minutes on a slow disk."""

SAFE: Final = (
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "core.untrackedCache=false",
    "-c", "protocol.ext.allow=never",
    "-c", "submodule.recurse=false",
    # The operator named this repository; whose it is does not matter to a worker that runs nothing of it.
    "-c", "safe.directory=*",
    "-c", "gc.auto=0",
)  # fmt: skip


class GitFailed(OrchestratorError):
    """Git could not do it; see its message."""

    code = "git-failed"


def environment(parent: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the worker's GIT_* reaches git, nor any configuration but the repository's."""
    kept = {name: parent[name] for name in ("PATH", "LANG", "HOME", "TMPDIR") if name in parent}
    return kept | {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "LC_ALL": "C",
    }


def git(directory: Path, *arguments: str) -> str:
    """Run git there and return what it printed, without the last newline. Blocks. Raises GitFailed."""
    try:
        done = subprocess.run(
            ["git", *SAFE, "-C", str(directory), *arguments],  # noqa: S607 - git is found on PATH by intent
            env=environment(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise GitFailed("git is not on PATH; install it.") from error
    except subprocess.TimeoutExpired as error:
        raise GitFailed(f"git {arguments[0]} in {directory} took longer than {SECONDS:.0f} s.") from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
        raise GitFailed(f"git {arguments[0]} in {directory}: {said}")
    return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")
