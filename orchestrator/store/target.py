"""The database that everything is to move to: opened only where no stranger's tables are."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import URL, inspect
from sqlalchemy.exc import DBAPIError

from orchestrator.domain.errors import Conflict
from orchestrator.store import engines, faults
from orchestrator.store.database import Database, open_database
from orchestrator.store.tables import metadata

NAMED: Final = 5
"""Tables of a stranger that a message names."""

_OF_SQLITE: Final = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"


def check(address: str) -> str:
    """The address as a setting has it, with `***` for a password. Raises ConfigurationError."""
    engines.parse(address, named="--to")
    return engines.written(address)


def open_target(address: str) -> Database:
    """Open it and make our tables there. Raises Conflict, with nothing changed, where others are; whether
    ours have rows is for `copy.copy` to see."""
    url = engines.parse(address, named="--to")
    place = engines.place(url)
    if url.get_backend_name() == "postgresql":
        _refuse_strangers(_in_postgresql(url, place), place)
    elif (path := engines.file(url)).exists():
        _refuse_strangers(_in_sqlite(path), place)
    return open_database(address, migrate=True)


def _in_postgresql(url: URL, place: str) -> set[str]:
    """The tables of the schema that ours would be in."""
    engine = engines.postgresql(url)
    try:
        with engine.connect() as tx:
            return set(inspect(tx).get_table_names())
    except DBAPIError as error:
        raise faults.translated(error, place) from error
    finally:
        engine.dispose()


def _in_sqlite(path: Path) -> set[str]:
    """The tables of a file, which an engine of ours would write to when it opens it."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return {name for (name,) in connection.execute(_OF_SQLITE)}
    except sqlite3.Error as error:
        raise faults.of_sqlite(error, str(path)) from error


def _refuse_strangers(found: set[str], place: str) -> None:
    if not found or ("alembic_version" in found and metadata.tables.keys() & found):
        return
    named = ", ".join(sorted(found)[:NAMED]) + (", ..." if len(found) > NAMED else "")
    raise Conflict(
        f"{place} is not empty: it has tables that are not orchestrator's ({named}). Nothing was changed; "
        f"use an empty database or schema.",
        field="to",
    )
