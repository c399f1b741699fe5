"""Checkouts: the directory an attempt works in, made ready however the last attempt ended."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.project import CheckoutKind, Project
from orchestrator.domain.task import Task
from orchestrator.worker.git import GitFailed, git, without_filters

PRIVATE: Final = 0o700
BRANCHES: Final = "orchestrator/"
WORKTREES: Final = "worktrees"
EMPTY: Final = "checkouts"
ATTEMPTS: Final = "attempts"
HOSTS: Final = 3
"""Other hosts that a message names."""
ASIDE: Final = "removed"
"""Where what is being removed lies until it is gone."""


class CheckoutBusy(OrchestratorError):
    """Another attempt is at work in the project's directory; it takes one at a time."""

    code = "checkout-busy"


class CheckoutUnusable(OrchestratorError):
    """The project's repository cannot be used; correct its path with `orchestrator project edit`."""

    code = "checkout-unusable"


class CheckoutMissing(CheckoutUnusable):
    """The project's repository is not on the host that took the task."""


class Checkouts:
    """Below `home`, by task: `checkouts/<task>` for empty directories, `worktrees/<task>` for git."""

    def __init__(self, home: Path, *, host: str | None = None) -> None:
        """`host` is how messages name this machine; `None` is its own name."""
        self._home = home
        self._host = host or socket.gethostname()

    @asynccontextmanager
    async def prepared(self, project: Project, task: Task) -> AsyncIterator[Path]:
        """The directory, for as long as the attempt lasts. Each task's own is kept until `set_aside`.

        Raises CheckoutBusy, CheckoutUnusable (CheckoutMissing where there is no such repository) and OSError.
        """
        await asyncio.to_thread(self._let_removals_end)
        repository = Path(project.repository) if project.repository else None
        if project.checkout is CheckoutKind.DIRECTORY and repository is not None:
            with _locked(self._directory(repository)):
                yield repository
        elif project.checkout is CheckoutKind.WORKTREE and repository is not None:
            yield await asyncio.to_thread(self._worktree, self._directory(repository), task.id)
        else:
            yield await asyncio.to_thread(self._empty, task.id)

    @contextlib.contextmanager
    def removing(self) -> Iterator[None]:
        """Hold this to ask whether a task has ended and to `set_aside` what is left of it: an attempt that is
        claimed meanwhile waits for it before it looks for anything. Blocks."""
        with _locked(self._aside(), wait=True):
            yield

    def set_aside(self, task_id: str, kinds: Iterable[str]) -> list[Path]:
        """Move what this host keeps of a task out of the way, in a moment however much it is; `remove_aside`
        does the rest. Answers with where it is now. Raises OSError."""
        moved = []
        for kind in kinds:
            place = self._home / kind / task_id
            if place.is_dir() and not place.is_symlink():
                place.chmod(PRIVATE)  # one that may not be written may not be moved either
                aside = Path(tempfile.mkdtemp(dir=self._aside())) / kind
                moved.append(place.rename(aside))
        return moved

    def remove_aside(self, project: Project | None, task_id: str, aside: Iterable[Path]) -> None:
        """Remove what was set aside of a task, and let its repository forget the worktree. Blocks. Raises
        OSError for what could not be removed; `remove_left` tries it again.

        What was not committed goes with the worktree. The branch `orchestrator/<task>` stays in the project's
        repository while it has commits that no other branch has; one that leads nowhere new is deleted.
        The project's own directory is never touched.
        """
        repository = Path(project.repository) if project and project.repository else None
        for place in aside:
            # Before git is asked: the agent may have left in it whatever it liked.
            with contextlib.suppress(FileNotFoundError):  # another process of this home removes what is left
                remove(place.parent)
            if place.name == WORKTREES and repository is not None and repository.is_dir():
                with _locked(repository, wait=True):
                    _forget_worktree(repository, BRANCHES + task_id)

    def remove_left(self) -> None:
        """Remove what was set aside when its process was killed. Raises OSError."""
        for place in self._aside().iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process of this home is at it
                remove(place)

    def discard(self, project: Project | None, task_id: str, *, attempts: bool = True) -> int:
        """Remove what this host keeps of a task that nobody goes on with: its worktree or empty directory,
        and with `attempts` the directories of its attempts with their transcripts. Returns how many there
        were. Blocks; doing it again, or for a task that never ran here, is nothing. Raises OSError."""
        kinds = (WORKTREES, EMPTY, ATTEMPTS) if attempts else (WORKTREES, EMPTY)
        with self.removing():
            aside = self.set_aside(task_id, kinds)
        self.remove_aside(project, task_id, aside)
        return len(aside)

    def _aside(self) -> Path:
        place = self._home / ASIDE
        place.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        return place

    def _let_removals_end(self) -> None:
        with self.removing():
            return

    def _empty(self, task_id: str) -> Path:
        directory = self._home / EMPTY / task_id
        directory.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        return directory

    def _worktree(self, repository: Path, task_id: str) -> Path:
        """A kill in the middle leaves a half of it: what git does not know as whole is made again."""
        place = self._home / WORKTREES / task_id
        place.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        with _locked(repository, wait=True):
            try:
                if not _whole(place):
                    _add_worktree(repository, place, BRANCHES + task_id)
                _unlock_index(place)
            except GitFailed as error:
                raise CheckoutUnusable(
                    f"No worktree can be made of {repository} on {self._host}: {error} Correct it, or the "
                    f"project."
                ) from error
        return place

    def _directory(self, path: Path) -> Path:
        if not path.is_dir():
            raise CheckoutMissing(f"{path} is not a directory on {self._host}.")
        return path


def where_to_have_it(project_id: str, elsewhere: Sequence[str]) -> str:
    """What to do about a repository that is not on this host, while workers are alive on the hosts
    `elsewhere`: another path for the project may be right here and wrong for all of them."""
    if not elsewhere:
        return (
            f"Have it here, or start a worker on a host that has it. If the path is wrong, correct the "
            f"project's: `orchestrator project edit {project_id} --repository PATH`."
        )
    return (
        f"Other hosts have workers too ({hosts_told(elsewhere)}): have the repository at the same path "
        f"here, or let the project require a label that only hosts with it carry: `orchestrator project "
        f"edit {project_id} --requires LABEL`."
    )


def hosts_told(hosts: Sequence[str]) -> str:
    """The first of them by name."""
    return ", ".join(hosts[:HOSTS]) + (", ..." if len(hosts) > HOSTS else "")


@contextlib.contextmanager
def _locked(directory: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the directory itself, which leaves no file behind and ends with the process, however it ends."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckoutBusy(
                f"Another attempt is at work in {directory}; it takes one at a time."
            ) from error
        yield
    finally:
        os.close(handle)


MADE: Final = "orchestrator-made"
"""A file in git's own directory for the worktree, written when it is whole."""


def _whole(place: Path) -> bool:
    if not place.exists():
        return False
    try:
        return (_git_directory(place) / MADE).exists()
    except GitFailed:
        return False


def _add_worktree(repository: Path, place: Path, branch: str) -> None:
    shutil.rmtree(place, ignore_errors=True)
    git(repository, "worktree", "prune")
    known = git(repository, "branch", "--list", "--format=%(refname:short)", branch)
    if not known and not git(repository, "rev-list", "--all", "--max-count=1"):
        raise GitFailed("it has no commit yet to start from; commit something there.")
    fresh = [] if known else ["-b", branch]
    start = [branch] if known else ["HEAD"]
    env = without_filters(repository)
    git(repository, "worktree", "add", "--force", *fresh, str(place), *start, env=env)
    (_git_directory(place) / MADE).touch()


def _forget_worktree(repository: Path, branch: str) -> None:
    """One whose directory is gone. A branch that a new worktree has checked out meanwhile is not deleted."""
    with contextlib.suppress(GitFailed):  # a repository that is gone or damaged keeps nothing of ours
        git(repository, "worktree", "prune")
        listed = git(repository, "for-each-ref", "--format=%(refname)", f"--contains=refs/heads/{branch}")
        if set(listed.split("\n")) - {f"refs/heads/{branch}"}:
            git(repository, "branch", "--delete", "--force", "--", branch)


def remove(directory: Path) -> None:
    """A directory, also of what agents leave that may not be written, as package managers do.
    Raises OSError."""

    def again(function: Callable[[str], object], path: str, _error: object) -> None:
        for each in (os.path.dirname(path), path):  # noqa: PTH120 - a name as rmtree has it
            if not os.path.islink(each) and os.path.isdir(each):  # noqa: PTH114, PTH112 - the same
                os.chmod(each, PRIVATE)  # noqa: PTH101 - the same
        if function in (os.unlink, os.rmdir):
            function(path)
        else:
            shutil.rmtree(path)

    shutil.rmtree(directory, onerror=again)


def _unlock_index(place: Path) -> None:
    """A git that was killed leaves its lock, and whoever comes after could commit nothing."""
    (_git_directory(place) / "index.lock").unlink(missing_ok=True)


def _git_directory(place: Path) -> Path:
    return Path(git(place, "rev-parse", "--absolute-git-dir"))
