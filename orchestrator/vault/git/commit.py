"""Committing what was edited in the tree."""

from typing import Final

from orchestrator.vault.git.adopt import refuse_unsafe
from orchestrator.vault.git.repository import NOT_OURS, Change, Repository
from orchestrator.vault.git.state import CycleEnded, GitState, message_for

EMPTIED: Final = (
    "Every file of the vault is gone. Restore them with `git checkout -- .`, or commit the deletion."
)


def commit_edits(repo: Repository) -> str | None:
    """One commit of everything that differs from the last; the commit that is checked out then, or `None`
    where there is still nothing. Raises CycleEnded for what is not committed for safety."""
    head = repo.commit("HEAD")
    repo.run("add", "--all", "--", ".", *NOT_OURS)
    tree, before = repo.run("write-tree"), repo.tree(head)
    if tree == before:
        return head
    changes = repo.changes(before, tree)
    try:
        _refuse(repo, changes, emptied=head is not None and tree == repo.tree(None))
    except CycleEnded:
        repo.run("read-tree", before)
        raise
    message = message_for({change.path: change.kind for change in changes})
    commit = repo.make_commit(tree, (head,) if head else (), message)
    repo.set_ref("HEAD", commit, old=head or "0" * len(commit), why="local edits")
    return commit


def _refuse(repo: Repository, changes: list[Change], *, emptied: bool) -> None:
    if emptied:
        raise CycleEnded(GitState.REFUSED, EMPTIED)
    refuse_unsafe(repo, changes)
