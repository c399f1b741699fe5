"""Locks: one cycle at a time, and those that a crash left, here and at a remote on this machine."""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from orchestrator.vault.git.address import path_of
from orchestrator.vault.git.remote import Remote
from orchestrator.vault.git.repository import Repository
from orchestrator.vault.git.state import CycleEnded, GitState

OF_ONE_MACHINE: Final = frozenset(
    ("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "tmpfs", "xfs", "zfs")
)
"""File systems that no other machine writes to while this one has them."""
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
"""How the kernel writes a blank in a path."""


def clear_locks(repo: Repository, *, now: float, older_than: float) -> list[str]:
    """Remove locks that nobody can hold any more, and say which. Raises CycleEnded for any other."""
    notes = []
    for lock in _locks(repo.directory):
        name = lock.relative_to(repo.root).as_posix()
        age = _age(lock, now)
        if age is None:
            continue
        if age < older_than or _git_at_work(repo.root):
            raise CycleEnded(GitState.LOCKED, f"{name} is held by another process; it is tried again.")
        lock.unlink(missing_ok=True)
        notes.append(f"removed {name}, which a crash left {age:.0f} s ago")
    return notes


def clear_locks_there(repo: Repository, remote: Remote, *, now: float, older_than: float) -> list[str]:
    """Of a remote that is a directory on this machine, remove the locks in the way of a push that nobody can
    hold any more, and say which: what receives our push is a child of ours, and a kill leaves its locks too.
    """
    directory = _directory_of(repo, remote)
    if directory is None or _file_system(directory) not in OF_ONE_MACHINE:
        return []
    tree = directory.parent if directory.name == ".git" else directory
    notes = []
    for name in ("HEAD.lock", f"refs/heads/{remote.branch}.lock"):
        age = _age(directory / name, now)
        if age is None or age < older_than or _git_at_work(tree):
            continue
        try:
            (directory / name).unlink(missing_ok=True)
        except PermissionError:  # it is another user's; the status says that there is a lock
            continue
        notes.append(f"removed {name} at the remote, which a crash left {age:.0f} s ago")
    return notes


def _locks(directory: Path) -> Iterator[Path]:
    yield from directory.glob("*.lock")
    yield from (directory / "refs").rglob("*.lock")


def _age(lock: Path, now: float) -> float | None:
    """Seconds; `None` when it is gone."""
    try:
        return now - lock.stat().st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return None


def _directory_of(repo: Repository, remote: Remote) -> Path | None:
    """Where the refs of a remote are that is a path."""
    path = path_of(remote.url)
    if path is None:
        return None
    named = (repo.root / path).resolve()
    places = (named / ".git", named, Path(f"{named}.git/.git"), Path(f"{named}.git"))
    return next((place for place in places if (place / "HEAD").is_file()), None)


def _file_system(directory: Path) -> str | None:
    """Its kind, as the kernel calls it; `None` where that is not known."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return None
    # By the place, since btrfs has devices of its own for what is below; the last mount hides those before.
    above = [
        (len(place.parts), number)
        for number, words in enumerate(mounts)
        if directory.is_relative_to(place := Path(_ESCAPED.sub(lambda one: chr(int(one[1], 8)), words[4])))
    ]
    words = mounts[max(above)[1]] if above else ["-", ""]
    return words[words.index("-") + 1]


def _git_at_work(root: Path) -> bool:
    """Whether a git process of this machine works in a repository, or may do so: of one whose directory
    cannot be read nothing is known. Ended ones that nobody has waited for do not count."""
    named = re.compile(re.escape(os.fsencode(root)) + rb"(?![^/\0])")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if not (process / "comm").read_text().startswith("git"):
                continue
            words = (process / "cmdline").read_bytes()
            place = os.readlink(process / "cwd")  # noqa: PTH115 - what the kernel says, not a path to walk
        except PermissionError:
            return True
        except OSError:
            continue
        if Path(place).is_relative_to(root) or named.search(words):
            return True
    return False


@contextmanager
def alone(repo: Repository, seconds: float) -> Iterator[None]:
    """One cycle at a time, whatever process it is in; the lock goes with the process. Raises CycleEnded."""
    repo.own.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(repo.own / "busy", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise CycleEnded(GitState.LOCKED, "Another process is in a cycle.") from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)
