"""Moving an installation from one database to another: every table, every row, every counter."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, Column, Connection, Table, insert, text
from sqlalchemy import create_engine as engine_of
from sqlalchemy.exc import OperationalError

from orchestrator.domain.errors import Conflict, InvalidInput
from orchestrator.domain.event import Event
from orchestrator.store import copy as copying
from orchestrator.store import events
from orchestrator.store.columns import Json
from orchestrator.store.copy import Copied, CopyFailed
from orchestrator.store.database import Database, open_database
from orchestrator.store.tables import metadata

ROWS = 5
PROSE = "ä\n'\";-- \U0001f600 %s :name \\ \ufffd"
REALS = (0.1 + 0.2, math.inf, 5e-324, 1_800_000_000.123456, -0.0)


def value_of(column: Column[Any], number: int) -> Any:
    """Something of the column's type that is easily got wrong; keys lead to the row of the same number."""
    if column.nullable and number == 1:
        return None
    if isinstance(column.type, Json):
        return {"number": number, "nul": "\0", "half": "\ud800", "limit": math.inf, "text": PROSE}
    if isinstance(column.type, Boolean):
        return number % 2 == 0
    if column.type.python_type is int:
        return number
    if column.type.python_type is float:
        return REALS[number]
    return f"k{number}" if column.primary_key or column.foreign_keys or column.unique else f"{PROSE}{number}"


def rows_of(table: Table) -> list[dict[str, Any]]:
    linked = {name for key in table.foreign_key_constraints for name in key.column_keys}
    return [
        {
            column.name: f"k{number}"
            if column.name in linked and column.type.python_type is str
            else value_of(column, number)
            for column in table.columns
        }
        for number in range(ROWS)
    ]


def fill(tx: Connection) -> None:
    """Every table there is, so that one that is added is in these tests."""
    for table in metadata.sorted_tables:
        tx.execute(insert(table), rows_of(table))


@pytest.fixture
def filled(sqlite_url: str) -> Iterator[Database]:
    with open_database(sqlite_url) as database:
        database.run_sync(fill)
        yield database


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path / 'other.db'}") as database:
        yield database


def copied(source: Database, target: Database) -> tuple[Copied, ...]:
    return copying.copy(source, target, progress=lambda _done, _total: None)


def dumped(database: Database) -> dict[str, list[Any]]:
    def read(tx: Connection) -> dict[str, list[Any]]:
        return {
            table.name: [tuple(row) for row in tx.execute(table.select().order_by(*table.primary_key))]
            for table in metadata.sorted_tables
        }

    return database.read_sync(read)


def add_event(database: Database) -> int:
    database.run_sync(events.append, Event(kind="project.created", subject="project/x", at=1.0))
    return database.read_sync(events.last_id)


@pytest.mark.postgres
def test_every_row_of_every_table_is_the_same_there_and_back(
    filled: Database, other: Database, postgres_url: str
) -> None:
    before = dumped(filled)
    with open_database(postgres_url) as server:
        there = copied(filled, server)
        assert dumped(server) == before
        assert copied(server, other) == there
    assert dumped(other) == dumped(filled) == before
    assert {one.table: one.rows for one in there} == {table.name: ROWS for table in metadata.sorted_tables}


@pytest.mark.postgres
def test_ids_of_events_go_on_where_they_were(filled: Database, other: Database, postgres_url: str) -> None:
    """Also when the latest events were deleted: a reader has seen their ids."""
    last = [add_event(filled) for _ in range(3)][-1]
    filled.run_sync(lambda tx: tx.execute(text(f"DELETE FROM events WHERE id > {last - 2}")))
    with open_database(postgres_url) as server:
        copied(filled, server)
        copied(server, other)
        assert add_event(server) == last + 1
    assert add_event(other) == last + 1


def test_a_database_with_rows_is_refused(filled: Database, other: Database) -> None:
    add_event(other)
    with pytest.raises(Conflict, match="not empty: it has rows in events"):
        copied(filled, other)
    with pytest.raises(InvalidInput, match="everything is already"):
        copied(filled, filled)


@pytest.mark.parametrize("after", [3, 150])
def test_what_fails_half_way_leaves_nothing_and_can_be_done_again(
    filled: Database, other: Database, after: int
) -> None:
    def fail(done: int, _total: int) -> None:
        if done >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copying.copy(filled, other, progress=fail)
    assert not any(dumped(other).values())
    assert all(one.rows == ROWS for one in copied(filled, other))


def test_a_row_that_differs_is_found_and_named(filled: Database, other: Database) -> None:
    change = "CREATE TRIGGER t AFTER INSERT ON projects WHEN NEW.id = 'k3' BEGIN {} END"
    spoil = "UPDATE projects SET weight = 7 WHERE id = 'k3';"
    other.run_sync(lambda tx: tx.execute(text(change.format(spoil))))
    with pytest.raises(CopyFailed, match="Table projects is not the same in both, first at id='k3'"):
        copied(filled, other)
    assert not any(dumped(other).values())


def test_a_row_that_is_missing_is_found(filled: Database, other: Database) -> None:
    lose = "CREATE TRIGGER t AFTER INSERT ON audit WHEN NEW.id = 4 BEGIN DELETE FROM audit WHERE id = 4; END"
    other.run_sync(lambda tx: tx.execute(text(lose)))
    with pytest.raises(CopyFailed, match="Table audit is not the same in both, first at id=4"):
        copied(filled, other)


@pytest.mark.postgres
def test_a_value_that_the_target_cannot_hold_is_named(filled: Database, postgres_url: str) -> None:
    filled.run_sync(lambda tx: tx.execute(text("UPDATE attempts SET turns = 5000000000")))
    with open_database(postgres_url) as server:
        with pytest.raises(CopyFailed, match="Table attempts: the target does not take"):
            copied(filled, server)
        assert not any(dumped(server).values())


def test_nobody_writes_to_the_source_meanwhile(filled: Database, other: Database, sqlite_url: str) -> None:
    refused = []

    def write(_done: int, _total: int) -> None:
        another = engine_of(sqlite_url, connect_args={"timeout": 0})
        with another.connect() as tx:
            try:
                tx.execute(text("DELETE FROM audit"))
            except OperationalError as error:
                refused.append(str(error))
        another.dispose()

    copying.copy(filled, other, progress=write)
    assert refused
    assert all("database is locked" in said for said in refused)
