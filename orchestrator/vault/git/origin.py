"""Which commit brought a document, and who made it."""

from collections.abc import Callable, Iterator, Mapping, Set
from typing import Final, NamedTuple

from orchestrator.vault.git.repository import Repository

MOST_COMMITS: Final = 5000
"""How far back is looked: one `git log` of that many takes about half a second."""
FEW: Final = 200
"""So many paths are named to git; of more, all of the history is read."""
_FIELD: Final = "\x1f"


class Brought(NamedTuple):
    commit: str
    author: str


class _Step(NamedTuple):
    commit: str
    merge: bool
    author: str
    blobs: dict[str, str]


def origins(
    repo: Repository, wanted: Mapping[str, Set[str]], digest_of: Callable[[bytes], str]
) -> dict[tuple[str, str], Brought]:
    """By path and digest, the last commit that gave the path this content, of those that are checked out.

    A merge counts only for what none of its sides has: somebody else wrote the rest.
    """
    if not wanted or repo.commit("HEAD") is None:
        return {}
    known: dict[str, str] = {}
    found: dict[tuple[str, str], Brought] = {}
    merged: dict[tuple[str, str], Brought] = {}
    for step in _steps(repo, list(wanted) if len(wanted) <= FEW else []):
        for path, blob in step.blobs.items():
            if path not in wanted or not blob.strip("0"):
                continue
            if blob not in known:
                known[blob] = digest_of(repo.objects.content(blob))
            if known[blob] in wanted[path]:
                place = merged if step.merge else found
                place.setdefault((path, known[blob]), Brought(step.commit, step.author))
    return merged | found


def _steps(repo: Repository, paths: list[str]) -> Iterator[_Step]:
    """Newest first; of a merge, what it has otherwise than each of its sides."""
    shape = f"--format={_FIELD}%H{_FIELD}%P{_FIELD}%an <%ae>"
    raw = ("--raw", "-m", "-r", "--no-renames", "--no-abbrev", "--no-ext-diff", "-z")
    printed = repo.run("log", f"--max-count={MOST_COMMITS}", *raw, shape, "HEAD", "--", *paths)
    step: _Step | None = None
    words = iter(printed.split("\0"))
    for word in words:
        entry = word.lstrip("\n")
        if entry.startswith(_FIELD):
            if step is not None:
                yield step
            _, commit, parents, author = entry.split(_FIELD, 3)
            step = _Step(commit, " " in parents, author.strip(), {})
        elif entry.startswith(":") and step is not None:
            step.blobs[next(words)] = entry.split(" ")[3]
    if step is not None:
        yield step
