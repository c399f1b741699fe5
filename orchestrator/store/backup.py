"""Copies of the embedded database: made while it is in use, checked, and put back."""

import contextlib
import glob
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from orchestrator.domain.errors import (
    AlreadyExists,
    ConfigurationError,
    Conflict,
    DatabaseTooNew,
    DatabaseUnavailable,
    InvalidInput,
    NotFound,
    OrchestratorError,
)
from orchestrator.store import engines, faults

Progress = Callable[[int, int], None]
"""Told how many pages of how many are copied."""

PAGES: Final = 1024
"""Pages copied between two reports: 4 MiB."""
PRIVATE: Final = 0o600
_PARTIAL: Final = ".partial"
_FAULTS: Final = 5
"""Lines of what a check found that a message repeats."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """A complete copy that was checked. `revision` is that of its schema."""

    path: str
    bytes: int
    sha256: str
    revision: str


def sqlite_file(url: str) -> Path:
    """The file of the embedded database. Raises ConfigurationError for any other."""
    parsed = engines.parse(url)
    if parsed.get_backend_name() != "sqlite":
        raise ConfigurationError(
            "database.url names PostgreSQL, which has its own tools: `pg_dump` and `pg_restore`, "
            "see docs/operations.md",
            field="database.url",
        )
    return Path(engines.place(parsed))


def backup(source: Path, target: Path, *, overwrite: bool, progress: Progress) -> Copy:
    """Write one consistent state of the database to `target`, for its owner alone, without stopping anybody:
    a reader sees one state however long it reads. Nothing is at `target` before the copy was checked.

    Raises NotFound, AlreadyExists, InvalidInput, DatabaseUnavailable.
    """
    if not source.exists():
        raise NotFound(f"There is no database at {source}; nothing was copied.")
    if target.exists() and target.samefile(source):
        raise InvalidInput(f"{target} is the database itself; name another file.")
    _refuse_existing(target, overwrite=overwrite)
    with _beside(target) as partial:
        with _told(source), closing(_opened(source, "rw")) as live, closing(_opened(partial, "rw")) as copy:
            # Fixes the state: without it every commit of another process starts the copy anew.
            live.execute("BEGIN")
            live.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            live.backup(copy, pages=PAGES, progress=_reporting(progress))
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, whole without any beside it
        made = _checked(partial)
        _put(partial, target, overwrite=overwrite)
    return Copy(path=str(target), bytes=made.bytes, sha256=made.sha256, revision=made.revision)


def restore(
    source: Path, target: Path, *, overwrite: bool, progress: Progress, sha256: str | None = None
) -> Copy:
    """Make the database `target` what the copy `source` is, completely or not at all. Ids of events that were
    given since are not given again. A schema that is older is brought up to date when it is opened next.

    Raises NotFound, AlreadyExists, Conflict while any process has the database open, DatabaseTooNew,
    InvalidInput when the copy is damaged or not one of ours, DatabaseUnavailable.
    """
    if not source.is_file():
        raise NotFound(f"There is no backup at {source}; nothing was changed.")
    if target.exists() and target.samefile(source):
        raise InvalidInput(f"{source} is the database itself; nothing was changed.")
    _refuse_existing(target, overwrite=overwrite, way_out="With --overwrite the copy replaces it.")
    found = _checked(source)
    if sha256 is not None and found.sha256 != sha256.strip().lower():
        raise InvalidInput(f"{source} has the digest {found.sha256}, not the one given; nothing was changed.")
    _refuse_newer(source, found.revision)
    with _told(target), _beside(target) as staged:
        shutil.copyfile(source, staged)
        with _alone(target) as held:
            _keep_counting(staged, held)
            if held is not None:
                with closing(_opened(staged, "ro")) as copy:
                    copy.backup(held, pages=PAGES, progress=_reporting(progress))
        if held is None:
            _put(staged, target, overwrite=True)
    return Copy(path=str(target), bytes=found.bytes, sha256=found.sha256, revision=found.revision)


def refuse_in_use(path: Path) -> None:
    """Raises Conflict while another process has the database open, whatever it does with it."""
    if not path.exists():
        return
    with _told(path), closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        _lock(connection, path)


def _lock(connection: sqlite3.Connection, path: Path) -> None:
    """Keep everybody else out until it is closed: in this mode SQLite takes a lock that nobody gets while any
    other connection is open. Raises Conflict."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        raise Conflict(
            f"{path} is in use; nothing was changed. Stop `orchestrator up` and every other process that has "
            f"it open (`fuser {path}` names them), then try again."
        ) from error
    connection.execute("COMMIT")


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[sqlite3.Connection | None]:
    """The database for us alone, or nothing when there is none; a damaged one is moved aside first.
    Raises Conflict while another process has it open, whatever it does with it."""
    if not path.exists():
        for suffix in ("-wal", "-shm"):  # of a database that is gone: nothing of it may come back
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        yield None
        return
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        _lock(connection, path)
        connection.execute("PRAGMA journal_mode = DELETE")
    except (Conflict, sqlite3.OperationalError):
        connection.close()
        raise
    except sqlite3.DatabaseError:
        connection.close()
        _move_aside(path)
        yield None
        return
    try:
        yield connection
    finally:
        connection.close()


def _move_aside(path: Path) -> None:
    """A damaged database is kept, with what lies beside it: something may still be read from it."""
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(path.with_name(f"{path.name}.damaged{suffix}"))


def _keep_counting(staged: Path, current: sqlite3.Connection | None) -> None:
    """Let growing ids go on from where the replaced database was: readers resume by them."""
    if current is None or not _has_table(current, "sqlite_sequence"):
        return
    known = current.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
    with closing(_opened(staged, "rw")) as copy:
        copy.execute("BEGIN")
        for name, last in known:
            row = copy.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (name,)).fetchone()
            if row is None and _has_table(copy, name):
                copy.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, last))
            elif row is not None and row[0] < last:
                copy.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (last, name))
        copy.execute("COMMIT")


def _checked(path: Path) -> Copy:
    """What the file is, once every page and key of it was found in order. Raises InvalidInput."""
    try:
        with closing(_opened(path, "ro")) as copy:
            faults_found = [row[0] for row in copy.execute("PRAGMA integrity_check") if row[0] != "ok"]
            faults_found += [
                f"a key of {row[0]} leads nowhere" for row in copy.execute("PRAGMA foreign_key_check")
            ]
            ours = _has_table(copy, "alembic_version") and _has_table(copy, "tasks")
            row = copy.execute("SELECT version_num FROM alembic_version").fetchone() if ours else None
    except sqlite3.DatabaseError as error:
        raise InvalidInput(f"{path} is not a usable copy ({error}); nothing was changed.") from error
    if faults_found:
        raise InvalidInput(f"{path} is damaged: {'; '.join(faults_found[:_FAULTS])}. Nothing was changed.")
    if row is None:
        raise InvalidInput(f"{path} is no database of orchestrator; nothing was changed.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Copy(path=str(path), bytes=path.stat().st_size, sha256=digest, revision=row[0])


def _refuse_newer(path: Path, revision: str) -> None:
    # Lazily, as Alembic takes a tenth of a second to load.
    from orchestrator.store import migrations  # noqa: PLC0415 - loaded only to compare revisions

    if migrations.age_of(revision) is migrations.Age.NEWER:
        raise DatabaseTooNew(
            f"{path} was written by a newer version of orchestrator (schema {revision}). Nothing was "
            f"changed; upgrade this program, then restore again."
        )


def _refuse_existing(
    path: Path, *, overwrite: bool, way_out: str = "Name another file, or say --overwrite."
) -> None:
    if not overwrite and path.exists() and path.stat().st_size:
        raise AlreadyExists(f"{path} exists; nothing was changed. {way_out}")


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A new file next to `target`, which only its owner can read; gone when the block ends, unless it was
    put in its place."""
    partial = target.with_name(f".{target.name}.{os.getpid()}{_PARTIAL}")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _clear(target)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
    try:
        yield partial
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            partial.with_name(partial.name + suffix).unlink(missing_ok=True)


def _clear(target: Path) -> None:
    """What processes left that were killed while they copied."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.*{_PARTIAL}*"):
        owner = left.name.removeprefix(f".{target.name}.").partition(_PARTIAL)[0]
        if owner == str(os.getpid()) or not (owner.isdigit() and Path(f"/proc/{owner}").exists()):
            left.unlink(missing_ok=True)


def _put(partial: Path, target: Path, *, overwrite: bool) -> None:
    """Make it durable, then visible in one step."""
    for path in (partial, partial.parent):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    if overwrite:
        partial.replace(target)
        return
    try:
        os.link(partial, target)  # unlike a rename it replaces nothing that has appeared meanwhile
    except FileExistsError:
        _refuse_existing(target, overwrite=False)
        partial.replace(target)


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    address = f"file:{quote(str(path.absolute()))}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=engines.BUSY_SECONDS, isolation_level=None)


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (name,)).fetchone() is not None


def _reporting(progress: Progress) -> Callable[[int, int, int], None]:
    return lambda _status, left, total: progress(total - left, total)


@contextlib.contextmanager
def _told(place: Path) -> Iterator[None]:
    """SQLite's errors, and those of the files, as such that name the way out."""
    try:
        yield
    except OrchestratorError:
        raise
    except sqlite3.Error as error:
        raise faults.of_sqlite(error, str(place)) from error
    except OSError as error:
        raise DatabaseUnavailable(
            f"{error.filename or place}: {error.strerror or error}; nothing was changed."
        ) from error
