"""Our commits on top of the remote's, worked out in the object database: no file is touched."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from orchestrator.vault.git.process import GitFailed
from orchestrator.vault.git.repository import Repository
from orchestrator.vault.git.state import ConflictFile

MOST_REPLAYED: Final = 200
"""More commits than that become one merge: each takes about 20 ms."""

TIMELESS: Final = {"GIT_AUTHOR_DATE": "@0 +0000", "GIT_COMMITTER_DATE": "@0 +0000"}
"""For commits that only carry a tree, so that a conflict that waits does not fill the disk cycle by cycle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    mode: str
    blob: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Merge:
    """A tree, and for each path in conflict what ours and theirs have there."""

    tree: str
    conflicts: dict[str, tuple[Stage | None, Stage | None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """Both sides in one commit."""

    commit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflicted:
    files: tuple[ConflictFile, ...]


def join(
    repo: Repository,
    *,
    ours: str,
    theirs: str,
    base: str | None,
    rewritten: bool,
    decide: Callable[[ConflictFile], ConflictFile],
) -> Joined | Conflicted:
    """Put what ours has since `base` on top of theirs, commit by commit; as one merge where that is not
    possible. What cannot be merged is in conflict until `decide` knows which side to keep.

    With `rewritten`, theirs has dropped commits on purpose, so ours does not become a parent of the merge.
    """
    listed = repo.run(
        "rev-list", "--reverse", "--topo-order", "--parents", ours, *([f"^{base}"] if base else [])
    )
    commits = [line.split() for line in listed.splitlines()]
    if not commits:
        return Joined(commit=theirs)
    if len(commits) <= MOST_REPLAYED and all(len(words) <= 2 for words in commits):
        replayed = _replay(repo, commits, theirs)
        if replayed is not None:
            return Joined(commit=replayed)
    merged = _merge(repo, base=base, ours=ours, theirs=theirs)
    files = {
        path: decide(ConflictFile(path=path, ours=_blob(mine), theirs=_blob(other)))
        for path, (mine, other) in sorted(merged.conflicts.items())
    }
    if any(file.keep is None for file in files.values()):
        return Conflicted(files=tuple(files.values()))
    tree = _settled(repo, merged, files)
    if rewritten and tree == repo.tree(theirs):
        return Joined(commit=theirs)
    parents = (theirs,) if rewritten else (theirs, ours)
    return Joined(commit=repo.make_commit(tree, parents, _message(files)))


def _replay(repo: Repository, commits: list[list[str]], onto: str) -> str | None:
    """The tip of the same commits on top of `onto`, without those that change nothing there; `None` when
    one is in conflict."""
    for commit, *parents in commits:
        merged = _merge(repo, base=parents[0] if parents else None, ours=onto, theirs=commit)
        if merged.conflicts:
            return None
        if merged.tree != repo.tree(onto):
            onto = _copy(repo, commit, merged.tree, onto)
    return onto


def _copy(repo: Repository, commit: str, tree: str, parent: str) -> str:
    """Another commit by the same author, at the same times, with the same message: doing it again in the next
    cycle makes no more objects."""
    found = repo.objects.written(commit)
    who = {
        "GIT_AUTHOR_NAME": found.author,
        "GIT_AUTHOR_EMAIL": found.email,
        "GIT_AUTHOR_DATE": found.authored,
        "GIT_COMMITTER_DATE": found.committed,
    }
    return repo.make_commit(tree, (parent,), found.message, extra=who)


def _merge(repo: Repository, *, base: str | None, ours: str, theirs: str) -> Merge:
    """Merge two trees. Git before 2.40 cannot be told the base, so it gets two commits that have it."""
    root = base or repo.make_commit(repo.tree(None), (), "Nothing\n", extra=TIMELESS)
    trees = repo.tree(ours), repo.tree(theirs)
    if trees[0] == trees[1] or trees[1] == repo.tree(root):
        return Merge(tree=trees[0], conflicts={})
    if trees[0] == repo.tree(root):
        return Merge(tree=trees[1], conflicts={})
    first, second = (repo.make_commit(tree, (root,), "One side\n", extra=TIMELESS) for tree in trees)
    try:
        printed = repo.run("merge-tree", "--write-tree", "-z", "--no-messages", first, second)
    except GitFailed as error:
        if error.reason != "exit" or "\t" not in error.printed:
            raise
        printed = error.printed
    tree, *entries = printed.split("\0")
    sides: dict[str, dict[str, Stage]] = {}
    for entry in filter(None, entries):
        head, _, path = entry.partition("\t")
        mode, blob, stage = head.split(" ")
        sides.setdefault(path, {})[stage] = Stage(mode=mode, blob=blob)
    return Merge(tree=tree, conflicts={path: (of.get("2"), of.get("3")) for path, of in sides.items()})


def _settled(repo: Repository, merged: Merge, files: dict[str, ConflictFile]) -> str:
    """The merge's tree with the side that was chosen for each file."""
    if not files:
        return merged.tree
    lines = []
    for path, file in files.items():
        mine, other = merged.conflicts[path]
        kept = mine if file.keep == "ours" else other
        entry = f"{kept.mode} {kept.blob}" if kept else f"0 {'0' * len(merged.tree)}"
        lines.append(f"{entry}\t{path}\0")
    with repo.second_index() as index:
        repo.run("read-tree", merged.tree, extra=index)
        data = "".join(lines).encode("utf-8", "surrogateescape")
        repo.run("update-index", "-z", "--index-info", stdin=data, extra=index)
        return repo.run("write-tree", extra=index)


def _blob(stage: Stage | None) -> str | None:
    return None if stage is None else stage.blob


def _message(files: dict[str, ConflictFile]) -> str:
    if not files:
        return "Merge what both sides changed\n"
    kept = "\n".join(
        f"Keep {'our' if file.keep == 'ours' else 'their'} {path}" for path, file in files.items()
    )
    return f"Settle {len(files)} conflict{'s' if len(files) > 1 else ''}\n\n{kept}\n"
