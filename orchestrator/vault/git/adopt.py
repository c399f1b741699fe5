"""Moving the tree to another commit: file by file, each replaced whole, nothing of anybody's overwritten.

Git's own checkout writes a file where it stands, so a reader could see half a profile; and a kill in its
middle would leave one. Here git writes beside the tree, and each file is renamed into its place. Two refs
say what is going on, so that the next cycle brings to its end what a crash cut off.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from orchestrator.vault.git.repository import OWN, SCRATCH, Change, Repository
from orchestrator.vault.git.state import CycleEnded, GitState

LINK: Final = "120000"
SUBMODULE: Final = "160000"
ABSENT: Final = "000000"
INCOMING: Final = f"{OWN}incoming"
OUTGOING: Final = f"{OWN}outgoing"
MOST_FILES: Final = 100_000
MOST_FLUSHED: Final = 256
"""Files that are flushed one by one, at about a millisecond each; more are flushed with the whole disk."""


class Found(Enum):
    OLD = 1
    NEW = 2
    OTHER = 3


class Stamp(NamedTuple):
    modified_ns: int
    changed_ns: int
    size: int
    inode: int


def refuse_unsafe(repo: Repository, changes: Iterable[Change]) -> None:
    """Raises CycleEnded for what no side may bring in: submodules, links out of the tree, odd names."""
    for change in changes:
        shown = ascii(change.path)
        if not change.path.isprintable():
            raise CycleEnded(GitState.REFUSED, f"The name {shown} cannot be shown; rename the file.")
        if change.new_mode == SUBMODULE:
            raise CycleEnded(
                GitState.REFUSED,
                f"{shown} is a repository of its own; submodules are not followed. Remove it.",
            )
        if change.new_mode == LINK and leads_out(change.path, repo.link_target(change.new)):
            raise CycleEnded(GitState.REFUSED, f"{shown} links out of the vault. Remove the link.")


def leads_out(path: str, target: str) -> bool:
    """Whether a link may lead out. Steps up are counted only where they come first: what a later one steps
    out of could be a link itself."""
    steps = target.split("/")
    ups = 0
    while ups < len(steps) and steps[ups] == "..":
        ups += 1
    depth = len(PurePosixPath(path).parts) - 1
    return target.startswith("/") or ups > depth or ".." in steps[ups:] or ".git" in map(str.lower, steps)


def refuse_bulk(repo: Repository, commit: str) -> None:
    """Raises CycleEnded when there is more in a commit than a vault is made of."""
    sizes = repo.sizes(commit)
    if len(sizes) > MOST_FILES or sum(sizes.values()) > repo.most_bytes:
        raise CycleEnded(
            GitState.REFUSED,
            f"The remote has {len(sizes)} files of {sum(sizes.values())} bytes; at most {MOST_FILES} of "
            f"{repo.most_bytes} are taken.",
        )


def adopt(repo: Repository, old: str | None, new: str) -> list[str]:
    """Move tree, index and branch from `old`, which the index holds, to `new`.

    Returns the paths that are neither as in `old` nor as in `new`; then somebody has just edited them, and
    nothing was moved. Raises CycleEnded for what is refused.
    """
    changes = repo.changes(repo.tree(old), repo.tree(new))
    refuse_unsafe(repo, changes)
    found = _look(repo, changes)
    edited = [change.path for change in changes if found[change.path][0] is Found.OTHER]
    if edited:
        return edited
    repo.set_ref(OUTGOING, old)
    repo.set_ref(INCOMING, new)
    waiting = [change for change in changes if found[change.path][0] is Found.OLD]
    if raced := _move_files(repo, new, waiting, {path: stamp for path, (_, stamp) in found.items()}):
        return raced
    repo.run("read-tree", *(["-i", "-m", old, new] if old else [new]))
    repo.ask("update-index", "-q", "--refresh")
    repo.set_ref("HEAD", new, old=old or "0" * len(new))
    forget(repo)
    return []


def resume(repo: Repository) -> bool:
    """Bring to its end what a crash cut off. Where somebody has edited since, what is in the tree counts as
    local edits: those of the remote among them merge with the remote's without a trace. Returns whether
    there was anything."""
    for left in repo.own.glob(f"{SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)
    target = repo.commit(INCOMING)
    if target is None:
        return False
    head = repo.commit("HEAD")
    if head != target and head == repo.commit(OUTGOING):
        adopt(repo, head, target)
    forget(repo)
    return True


def forget(repo: Repository) -> None:
    for ref in (INCOMING, OUTGOING):
        repo.ask("update-ref", "-d", ref)


def _look(repo: Repository, changes: list[Change]) -> dict[str, tuple[Found, Stamp | None]]:
    """What stands in each place now, with its stamp of before it was read."""
    stamps = {change.path: _stamp(repo.root, change.path) for change in changes}
    files = [path for path, at in stamps.items() if at is not None and stat.S_ISREG(at[0])]
    hashed = dict(zip(files, repo.hash_files(files), strict=True))
    found: dict[str, tuple[Found, Stamp | None]] = {}
    for change in changes:
        at = stamps[change.path]
        here = _here(repo.root, change, at, hashed)
        if here == (_kind(change.new_mode), change.new):
            found[change.path] = (Found.NEW, at and at[1])
        elif here == (_kind(change.old_mode), change.old):
            found[change.path] = (Found.OLD, at and at[1])
        else:
            found[change.path] = (Found.OTHER, at and at[1])
    return found


def _here(
    root: Path, change: Change, at: tuple[int, Stamp] | None, hashed: dict[str, str]
) -> tuple[str, str]:
    """Kind and id of what stands there, as git would have it; a directory is what its files are."""
    nothing = (ABSENT, "0" * len(change.new))
    if at is None or stat.S_ISDIR(at[0]):
        return nothing
    if stat.S_ISREG(at[0]):
        return _kind("100644"), hashed[change.path]
    if stat.S_ISLNK(at[0]):
        data = os.fsencode(os.readlink(root / change.path))  # noqa: PTH115 - the bytes, not a path
        return LINK, hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()
    return "special", ""


def _kind(mode: str) -> str:
    """Whether a file may be executed is no reason to call it edited."""
    return "file" if mode.startswith("100") else mode


def _stamp(root: Path, path: str) -> tuple[int, Stamp] | None:
    if os.path.realpath((root / path).parent) != os.path.normpath((root / path).parent):
        raise CycleEnded(GitState.REFUSED, f"{path!a} lies behind a link. Remove the link.")
    try:
        seen = (root / path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return seen.st_mode, Stamp(seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino)


def _move_files(
    repo: Repository, new: str, waiting: list[Change], stamps: dict[str, Stamp | None]
) -> list[str]:
    """Delete and replace. A file that changes under our hands is left, and returned."""
    gone = [change for change in waiting if change.new_mode == ABSENT]
    coming = [change for change in waiting if change.new_mode != ABSENT]
    with tempfile.TemporaryDirectory(dir=repo.own, prefix=SCRATCH) as place:
        _write_beside(repo, new, coming, Path(place))
        for change in (*gone, *coming):
            at = _stamp(repo.root, change.path)
            directory = at is not None and stat.S_ISDIR(at[0])
            if not directory and (at and at[1]) != stamps[change.path]:
                return [change.path]
            target = repo.root / change.path
            if change in gone:
                if not directory:
                    target.unlink(missing_ok=True)
                _remove_empty(repo.root, target.parent)
            else:
                if directory:
                    target.rmdir()
                target.parent.mkdir(parents=True, exist_ok=True)
                (Path(place) / "tree" / change.path).replace(target)
    return []


def _write_beside(repo: Repository, new: str, coming: list[Change], place: Path) -> None:
    if not coming:
        return
    names = "".join(f"{change.path}\0" for change in coming).encode("utf-8", "surrogateescape")
    index = {"GIT_INDEX_FILE": f"{place}/index"}
    repo.run("read-tree", new, extra=index)
    repo.run("checkout-index", "-z", "--stdin", f"--prefix={place}/tree/", stdin=names, extra=index)
    # A rename that outlives a power cut must not outlive what was in the file.
    if len(coming) > MOST_FLUSHED:
        os.sync()
        return
    for change in coming:
        if change.new_mode != LINK:
            with (place / "tree" / change.path).open("rb") as file:
                os.fsync(file.fileno())


def _remove_empty(root: Path, directory: Path) -> None:
    while directory != root:
        try:
            directory.rmdir()
        except OSError:
            return
        directory = directory.parent
