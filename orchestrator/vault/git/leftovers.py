"""What a crash, or a person in the middle of something, left in a repository."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from orchestrator.vault.git.repository import OWN, Repository
from orchestrator.vault.git.state import CycleEnded, GitState

KEPT: Final = f"{OWN}kept/"
STAMP: Final = "%Y%m%dT%H%M%S"
REBASES: Final = ("rebase-merge", "rebase-apply")
OTHERS: Final = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisection",
    "rebase-apply/applying": "run of git am",
}


def clear_locks(repo: Repository, *, now: float, older_than: float) -> list[str]:
    """Remove locks that nobody can hold any more, and say which. Raises CycleEnded for any other."""
    notes = []
    for lock in _locks(repo.directory):
        try:
            age = now - lock.stat().st_mtime
        except FileNotFoundError:
            continue
        name = lock.relative_to(repo.root).as_posix()
        if age < older_than or _git_at_work(repo.root):
            raise CycleEnded(GitState.LOCKED, f"{name} is held by another process; it is tried again.")
        lock.unlink(missing_ok=True)
        notes.append(f"removed {name}, which a crash left {age:.0f} s ago")
    return notes


def end_abandoned_rebase(repo: Repository, *, now: float, older_than: float) -> list[str]:
    """Abort a rebase that nobody has touched for so long, with all that it held kept in a ref. Raises
    CycleEnded for whatever a person may still be in the middle of."""
    for name, what in OTHERS.items():
        if (repo.directory / name).exists():
            raise CycleEnded(GitState.UNFINISHED, f"A {what} is not finished; finish or abort it.")
    rebase = next((repo.directory / name for name in REBASES if (repo.directory / name).is_dir()), None)
    if rebase is None:
        if repo.run("ls-files", "--unmerged"):
            raise CycleEnded(GitState.UNFINISHED, "Files have unresolved conflicts; resolve and add them.")
        return []
    age = now - max(path.stat().st_mtime for path in (rebase, *rebase.iterdir()))
    if age < older_than:
        raise CycleEnded(
            GitState.UNFINISHED,
            f"A rebase is not finished; finish or abort it; untouched for {older_than:.0f} s it is aborted.",
        )
    ref = keep_tree(repo, now)
    repo.run("rebase", "--abort")
    return [f"aborted a rebase that was left {age:.0f} s ago; what was in the tree is kept at {ref}"]


def keep_tree(repo: Repository, now: float) -> str:
    """The tree as it stands, as a commit at a ref of its own; the ref's name."""
    head = repo.commit("HEAD")
    with repo.second_index() as index:
        if head is not None:
            repo.run("read-tree", head, extra=index)
        repo.run("add", "--all", "--", ".", extra=index)
        tree = repo.run("write-tree", extra=index)
    commit = repo.make_commit(tree, (head,) if head else (), "The tree as it was left\n")
    return keep(repo, commit, now)


def keep(repo: Repository, commit: str, now: float) -> str:
    """A ref for what would be reachable no more; its name says since when it is kept."""
    ref = f"{KEPT}{datetime.fromtimestamp(now, UTC):{STAMP}}-{commit[:12]}"
    repo.set_ref(ref, commit)
    return ref


def let_go(repo: Repository, *, now: float, older_than: float) -> list[str]:
    """Remove the refs of what has been kept for so many seconds, and name them. One without a time gets one:
    it begins to be kept now."""
    gone = []
    for row in repo.run("for-each-ref", "--format=%(refname) %(objectname)", KEPT).splitlines():
        ref, commit = row.split(" ")
        try:
            since = datetime.strptime(f"{ref.removeprefix(KEPT)[:15]}+0000", f"{STAMP}%z")
        except ValueError:
            keep(repo, commit, now)
        else:
            if now - since.timestamp() < older_than:
                continue
            gone.append(ref)
        repo.set_ref(ref, None, old=commit)
    return gone


def _locks(directory: Path) -> Iterator[Path]:
    yield from directory.glob("*.lock")
    yield from (directory / "refs").rglob("*.lock")


def _git_at_work(root: Path) -> bool:
    """Whether a git process of this machine works in the vault, or may do so: of one whose directory
    cannot be read nothing is known. Ended ones that nobody has waited for do not count."""
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
        if Path(place).is_relative_to(root) or os.fsencode(root) in words:
            return True
    return False
