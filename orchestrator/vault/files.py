"""Reading the vault's tree: only where documents live, and never outside of it."""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from orchestrator.domain.errors import ConfigurationError
from orchestrator.vault.document import MOST_BYTES
from orchestrator.vault.layout import (
    NOTES,
    PROFILE_FILE,
    PROFILES,
    PROJECTS,
    SERVER_SUFFIX,
    SERVERS,
    Address,
    BadName,
    Stray,
    place_of,
)


class VaultUnavailable(ConfigurationError):
    """The vault cannot be read; nothing was changed. Check the directory and its permissions."""

    code = "vault-unavailable"


class Stamp(NamedTuple):
    """What changes when a file does. The time of the last status change is among it, so that a file
    whose modification time was set back is seen too."""

    modified_ns: int
    changed_ns: int
    size: int
    inode: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFound:
    """A document's file. Without `data` it was seen before with this stamp, and was not read again."""

    path: str
    address: Address
    stamp: Stamp
    data: bytes | None = None


@dataclass(slots=True)
class Tree:
    """What one look at the vault found, by path below its root."""

    files: dict[str, FileFound] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    """Files in a document's place that cannot be read, and directories: each with the reason."""
    strays: dict[str, Stray] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    """Directories about whose content nothing is known, not even that it is gone."""
    empty: bool = False
    """There is nothing at all in the root: perhaps what should be mounted there is not."""


def read_tree(root: Path, seen: Mapping[str, FileFound]) -> Tree:
    """Look at every document below `root`; what was `seen` counts for those that still have its stamp.

    Raises VaultUnavailable when the root itself cannot be listed.
    """
    try:
        resolved = root.resolve(strict=True)
        with os.scandir(resolved) as entries:
            empty = next(entries, None) is None
    except OSError as error:
        message = (
            f"The vault at {root} cannot be read ({error.strerror}); nothing was changed. Check that it is a "
            "directory, that it is mounted and who may read it."
        )
        raise VaultUnavailable(message) from error
    walk = _Walk(resolved, seen)
    walk.tree.empty = empty
    walk.scope("")
    for entry in walk.entries(PROJECTS):
        if not walk.leads_out(f"{PROJECTS}/{entry.name}"):
            walk.scope(f"{PROJECTS}/{entry.name}/")
    return walk.tree


class _Walk:
    def __init__(self, root: Path, seen: Mapping[str, FileFound]) -> None:
        self.root = str(root)
        self.seen = seen
        self.tree = Tree()

    def scope(self, prefix: str) -> None:
        """The two directories of the system or of a project."""
        for entry in self.entries(f"{prefix}{PROFILES}"):
            path = f"{prefix}{PROFILES}/{entry.name}"
            if ":" in entry.name:
                self.document(path)
            elif entry.is_dir(follow_symlinks=False) or entry.is_symlink():
                self.document(f"{path}/{PROFILE_FILE}")
        for entry in self.entries(f"{prefix}{SERVERS}"):
            if entry.name.endswith(SERVER_SUFFIX) and entry.name != NOTES:
                self.document(f"{prefix}{SERVERS}/{entry.name}")

    def entries(self, path: str) -> Iterator[os.DirEntry[str]]:
        """What is in a directory below the root; nothing when it is not there, a problem when it cannot
        be listed or is a link out."""
        if self.leads_out(path):
            return iter(())
        try:
            with os.scandir(f"{self.root}/{path}") as found:
                return iter(list(found))
        except (FileNotFoundError, NotADirectoryError):
            return iter(())
        except OSError as error:
            self.tree.problems[_storable(path)] = f"cannot be listed: {error.strerror}"
            self.tree.unreadable.add(_storable(path))
            return iter(())

    def leads_out(self, path: str) -> bool:
        """Whether a directory is a link out of the vault; then it is reported."""
        inside = self.is_inside(os.path.realpath(f"{self.root}/{path}"))
        if not inside:
            self.tree.problems[_storable(path)] = "links out of the vault; it is not read"
        return not inside

    def document(self, path: str) -> None:
        place = f"{self.root}/{path}"
        try:
            status = os.stat(place)  # noqa: PTH116 - ten thousand of them; Path costs five times as much
        except (FileNotFoundError, NotADirectoryError):
            if os.path.islink(place):  # noqa: PTH114 - as above
                self.tree.problems[_storable(path)] = "links to nothing"
            return
        except OSError as error:
            self.tree.problems[_storable(path)] = f"cannot be read: {error.strerror}"
            return
        stamp = Stamp(status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        before = self.seen.get(path)
        if before is not None and before.stamp == stamp:
            self.tree.files[path] = before
            return
        where = place_of(path)
        if isinstance(where, Stray):
            self.tree.strays[_storable(path)] = where
        elif isinstance(where, BadName):
            self.tree.problems[_storable(path)] = where.message
        elif where is not None:
            try:
                data = self.read(place, status)
            except _NotRead as reason:
                self.tree.problems[path] = str(reason)
            else:
                self.tree.files[path] = FileFound(path=path, address=where, stamp=stamp, data=data)

    def read(self, place: str, status: os.stat_result) -> bytes:
        """The bytes of a regular file that lies in the vault, whatever the links on the way said."""
        if not stat.S_ISREG(status.st_mode):
            raise _NotRead("is not a regular file")
        if status.st_size > MOST_BYTES:
            raise _NotRead(f"the file is larger than {MOST_BYTES // 1024} KiB")
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            raise _NotRead(f"cannot be read: {error.strerror}") from error
        try:
            # Asked of the open file: a path checked before could lead elsewhere by now.
            if not self.is_inside(_location(descriptor, place)):
                raise _NotRead("links out of the vault; it is not read")
            return _contents(descriptor)
        except OSError as error:
            raise _NotRead(f"cannot be read: {error.strerror}") from error
        finally:
            os.close(descriptor)

    def is_inside(self, location: str) -> bool:
        return location == self.root or location.startswith(f"{self.root}/")


class _NotRead(Exception):
    """Why a file was not read."""


def _location(descriptor: int, place: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - a name, and no path to walk
    except FileNotFoundError:
        return os.path.realpath(place)


def _contents(descriptor: int) -> bytes:
    """The file up to its end, or one byte more than is accepted. Half a profile could permit more than all
    of it, so a read that returned less than there is must not pass for the end."""
    data = os.read(descriptor, MOST_BYTES + 1)
    while len(data) <= MOST_BYTES:
        more = os.read(descriptor, MOST_BYTES + 1 - len(data))
        if not more:
            break
        data += more
    return data


def _storable(path: str) -> str:
    """A path as text: file names are bytes, and need not be UTF-8."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
