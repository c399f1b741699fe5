"""Reading a repository through GitPython: what is checked out, what a name stands for, commits and contents.

GitPython answers from files, or from one `git cat-file` that it keeps open for all questions. Whatever it
starts it starts here: with the environment and the configuration of the sync, and on its leash. It takes
10 MiB and a quarter of a second to load, so this module is imported by whoever has a repository to read.
"""

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from git import Commit, Git, Repo
from git.exc import InvalidGitRepositoryError, NoSuchPathError
from git.objects.util import altz_to_utctz_str

from orchestrator.vault.git.process import GitFailed

Start = Callable[[Sequence[str]], "subprocess.Popen[bytes]"]
"""Starts git with these arguments, and everything else as the sync has it."""

MISSING: Final = "could not be resolved"
ON_A_BRANCH: Final = "refs/heads/"


class _Git(Git):
    """GitPython's `git` without its way of starting processes: that hands on our whole environment, GIT_*
    included, and ends only the process itself, not what it started."""

    def __init__(self, working_dir: Any = None) -> None:
        super().__init__(working_dir)
        self.start: Start | None = None

    def execute(self, command: Any, istream: Any = None, **options: Any) -> Any:  # type: ignore[override]  # of its many forms, those that reading uses
        del istream
        if self.start is None:
            raise GitFailed(f"git {command[-1]} is not started: only files are read here.")
        process = self.start(command[1:])
        if options.get("as_process"):
            return self.AutoInterrupt(process, command)
        out, _ = process.communicate()
        if process.returncode != 0:
            raise GitFailed(f"{' '.join(command)}: exit code {process.returncode}")
        text = out.decode("utf-8", "surrogateescape")
        return text.removesuffix("\n") if options.get("stdout_as_string", True) else out


class _Repo(Repo):
    GitCommandWrapperType = _Git


STEERING: Final = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")
"""By these the environment that we were started in would lead GitPython to another repository. Nothing of
ours wants them, so they are dropped for good: put back, another thread could see them in between."""


class Written(NamedTuple):
    """What a commit says of itself; both times are as git takes them."""

    author: str
    email: str
    authored: str
    committed: str
    message: str


class Objects:
    """An open repository, for one thread. Its configuration must have been looked at: reading follows
    what that includes. Raises GitFailed."""

    def __init__(self, directory: Path, start: Start | None = None) -> None:
        """`directory` is a work tree, or what git keeps of one. Without `start` nothing is ever started, and
        only what stands in files can be asked for."""
        for name in STEERING:
            os.environ.pop(name, None)
        try:
            self._repo = _Repo(directory, expand_vars=False)
        except (InvalidGitRepositoryError, NoSuchPathError, OSError, ValueError) as error:
            raise GitFailed(f"{directory} is not a repository that can be opened: {error}") from error
        assert isinstance(self._repo.git, _Git)
        self._repo.git.start = start

    def close(self) -> None:
        self._repo.close()

    @property
    def directory(self) -> Path:
        """Where git keeps what is of this work tree alone."""
        return Path(self._repo.git_dir)

    def branch(self) -> str | None:
        """The branch that is checked out, whether or not it has a commit yet."""
        head = self._repo.head
        try:
            name = None if head.is_detached else str(head.reference.path)
        except (ValueError, OSError) as error:
            raise GitFailed(f"HEAD cannot be read: {error}") from error
        return name.removeprefix(ON_A_BRANCH) if name and name.startswith(ON_A_BRANCH) else None

    def find(self, name: str) -> str | None:
        """The id of the object that a name or expression stands for; `None` when there is none."""
        try:
            return _text(self._repo.git.get_object_header(name)[0])
        except ValueError as error:
            if MISSING in str(error):
                return None
            raise GitFailed(f"git cat-file: {error}") from error
        except OSError as error:
            raise GitFailed(f"git cat-file: {error}") from error

    def content(self, blob: str) -> bytes:
        try:
            return self._repo.git.get_object_data(blob)[3]
        except (ValueError, OSError) as error:
            raise GitFailed(f"git cat-file: {error}") from error

    def written(self, commit: str) -> Written:
        found = Commit(self._repo, bytes.fromhex(commit))
        try:
            return Written(
                author=found.author.name or "",
                email=found.author.email or "",
                authored=_moment(found.authored_date, found.author_tz_offset),
                committed=_moment(found.committed_date, found.committer_tz_offset),
                message=str(found.message),
            )
        except (ValueError, OSError) as error:
            raise GitFailed(f"The commit {commit} cannot be read: {error}") from error


def _moment(seconds: int, west: float) -> str:
    return f"@{seconds} {altz_to_utctz_str(west)}"


def _text(given: str | bytes) -> str:
    """Ids are declared as text, and are the bytes that git printed."""
    return given if isinstance(given, str) else given.decode("ascii")
