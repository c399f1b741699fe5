"""Every row of one database into another, empty one of either kind, compared before it counts."""

import hashlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Row,
    Select,
    Table,
    Text,
    func,
    select,
    text,
    type_coerce,
)
from sqlalchemy.exc import DBAPIError

from orchestrator.domain.errors import Conflict, InvalidInput, OrchestratorError
from orchestrator.store.database import Database
from orchestrator.store.tables import metadata

Progress = Callable[[int, int], None]
"""Told how many rows of how many are done; each counts twice, as it is copied and compared."""

BATCH: Final = 200
"""Rows that are held in memory at a time; a message of an agent may be megabytes."""

TABLES: Final = tuple(metadata.sorted_tables)
"""All of them, each after those that its keys lead to."""


class CopyFailed(OrchestratorError):
    """The copy failed; the target was left as empty as it was, and the source was not touched."""

    code = "copy-failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Copied:
    """A table whose rows are the same in both; `sha256` is over all of them, in the order of their keys."""

    table: str
    rows: int
    sha256: str


def copy(source: Database, target: Database, *, progress: Progress) -> tuple[Copied, ...]:
    """Copy every table, ids and counters included, in one transaction of the target: it has all of it, or
    after any failure nothing. On SQLite nobody else can write to the source meanwhile.

    Raises InvalidInput when both are the same, Conflict when the target has rows, CopyFailed.
    """
    if source.place == target.place:
        raise InvalidInput(f"{source.place} is where everything is already; nothing was changed.", field="to")

    def write(into: Connection) -> tuple[Copied, ...]:
        _refuse_rows(into, target.place)
        look = source.run_sync if source.dialect == "sqlite" else source.read_sync
        return look(_copy_all, into, progress)

    copied = target.run_sync(write)
    if target.dialect == "postgresql":
        target.run_sync(lambda into: into.execute(text("ANALYZE")))
    return copied


def _copy_all(source: Connection, target: Connection, progress: Progress) -> tuple[Copied, ...]:
    counts = {table.name: _count(source, table) for table in TABLES}
    done, total = 0, 2 * sum(counts.values())
    for table in TABLES:
        for batch in _batches(source, table):
            _insert(target, table, batch)
            done += len(batch)
            progress(done, total)
    copied = []
    for table in TABLES:
        digest = hashlib.sha256()
        rows = 0
        for ours in _compared(source, target, table):
            digest.update(_bytes(ours))
            rows += len(ours)
            done += len(ours)
            progress(done, total)
        copied.append(Copied(table=table.name, rows=rows, sha256=digest.hexdigest()))
        _continue_counter(source, target, table)
    return tuple(copied)


def _compared(source: Connection, target: Connection, table: Table) -> Iterator[Sequence[Row[Any]]]:
    """The table's rows, batch by batch, once both have the same. Raises CopyFailed."""
    pairs = zip_longest(_batches(source, table), _batches(target, table), fillvalue=())
    for ours, theirs in pairs:
        if hashlib.sha256(_bytes(ours)).digest() != hashlib.sha256(_bytes(theirs)).digest():
            ours_by_row = zip_longest(ours, theirs)
            first = next(mine or other for mine, other in ours_by_row if mine != other)
            raise CopyFailed(
                f"Table {table.name} is not the same in both, first at {_key(table, first)}. The target was "
                f"left empty, and the source was not touched."
            )
        yield ours


def _bytes(rows: Sequence[Row[Any]]) -> bytes:
    """The rows exactly: every float has one shortest text, and text is quoted."""
    return "\n".join(repr(tuple(row)) for row in rows).encode("utf-8", "backslashreplace") + b"\n"


def _batches(tx: Connection, table: Table) -> Iterator[Sequence[Row[Any]]]:
    found = tx.execute(_all(table), execution_options={"yield_per": BATCH})
    yield from found.partitions(BATCH)


def _all(table: Table) -> Select[Any]:
    """Text as it is stored, not as what it says: what is copied is then the same to the last byte."""
    columns = [column if _plain(column) else type_coerce(column, Text()) for column in table.columns]
    return select(*columns).order_by(*table.primary_key.columns)


def _plain(column: Column[Any]) -> bool:
    return isinstance(column.type, Boolean) or column.type.python_type in (int, float)


def _insert(tx: Connection, table: Table, rows: Sequence[Row[Any]]) -> None:
    names = [column.name for column in table.columns]
    given = "OVERRIDING SYSTEM VALUE " if tx.dialect.name == "postgresql" else ""
    values = ", ".join(f":{name}" for name in names)
    statement = f"INSERT INTO {table.name} ({', '.join(names)}) {given}VALUES ({values})"
    try:
        tx.execute(text(statement), [dict(zip(names, row, strict=True)) for row in rows])
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        detail = str(error.orig).strip().partition("\n")[0]
        raise CopyFailed(
            f"Table {table.name}: the target does not take the rows from {_key(table, rows[0])} on "
            f"({detail}). It was left empty, and the source was not touched."
        ) from error


def _key(table: Table, row: Row[Any] | None) -> str:
    """How a message names a row."""
    values = {} if row is None else dict(zip((column.name for column in table.columns), row, strict=True))
    return ", ".join(f"{column.name}={values.get(column.name)!r}" for column in table.primary_key.columns)


def _continue_counter(source: Connection, target: Connection, table: Table) -> None:
    """Let growing ids go on where they are: ids of rows that were deleted since are not given again."""
    column = table.autoincrement_column
    if column is None or column.identity is None:
        return
    last = _counter(source, table, column.name)
    if last <= 0:
        return
    if target.dialect.name == "postgresql":
        name = select(func.pg_get_serial_sequence(table.name, column.name)).scalar_subquery()
        target.execute(select(func.setval(name, last)))
    else:
        target.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
        insert = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)")
        target.execute(insert, {"name": table.name, "last": last})


def _counter(tx: Connection, table: Table, column: str) -> int:
    """The last id that was given; 0 before the first."""
    if tx.dialect.name == "postgresql":
        name = tx.execute(select(func.pg_get_serial_sequence(table.name, column))).scalar_one()
        row = tx.execute(text(f"SELECT last_value, is_called FROM {name}")).one()  # noqa: S608 - our own sequence
        return int(row[0]) if row[1] else 0
    query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
    return tx.execute(query, {"name": table.name}).scalar() or 0


def _refuse_rows(tx: Connection, place: str) -> None:
    used = [
        table.name for table in TABLES if tx.execute(select(table.primary_key.columns[0]).limit(1)).first()
    ]
    if used:
        aside = ""
        if tx.dialect.name == "sqlite":
            old = f"mv {shlex.quote(place)} {shlex.quote(place + '.old')}"
            aside = f", or put this file aside first (`{old}`, its -wal and -shm too if they are there)"
        raise Conflict(
            f"{place} is not empty: it has rows in {', '.join(used)}. Nothing was changed; name an empty "
            f"database{aside}.",
            field="to",
        )


def _count(tx: Connection, table: Table) -> int:
    return tx.execute(select(func.count()).select_from(table)).scalar_one()
