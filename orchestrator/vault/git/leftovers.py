"""What a crash, or a person in the middle of something, left in a repository."""

from datetime import UTC, datetime
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
