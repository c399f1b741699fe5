"""The few statements that a worker wakes up with: compiled once, and given to the driver as they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, Dialect, PoolProxiedConnection
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.engine.interfaces import DBAPICursor, DBAPIModule
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

Rows = list[tuple[Any, ...]]
"""As the driver gives them: JSON is text, and SQLite's truth values are numbers."""

_PARAMSTYLE: Final[Mapping[str, Literal["named", "pyformat"]]] = {"sqlite": "named", "postgresql": "pyformat"}
_NUMBERED: Final = postgresql.dialect(  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types
    paramstyle="numeric_dollar"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Compiled:
    text: str
    fixed: Mapping[str, Any]
    """Values of parameters that the statement itself brings."""


class Prepared:
    """A statement in each database's words. To look its compiled form up, to describe its columns and to make
    rows of them takes SQLAlchemy longer than the database needs for the rest, and an idle worker does nothing
    else between a commit and the start of the task."""

    def __init__(self, statements: Mapping[str, ClauseElement]) -> None:
        """By the name of the dialect."""
        self._statements = statements
        self._compiled: dict[str, _Compiled] = {}
        self._numbered: tuple[bytes, tuple[str, ...]] | None = None

    def rows(self, tx: Connection, values: Mapping[str, Any]) -> Rows:
        """What it answers with. Raises DBAPIError, as `Connection.execute` does."""
        statement = self._compiled.get(tx.dialect.name) or self._compile(tx.dialect)
        connection = tx.connection
        cursor = connection.cursor()
        try:
            cursor.execute(statement.text, {**statement.fixed, **values})
            return list(cursor.fetchall())
        except tx.dialect.loaded_dbapi.Error as error:
            raise _wrapped(tx, connection, cursor, statement, error) from error
        finally:
            cursor.close()

    def numbered(self) -> tuple[bytes, tuple[str, ...]]:
        """In PostgreSQL's own words, with `$1` for the first parameter, and the parameters' names."""
        if self._numbered is None:
            compiled = self._statements["postgresql"].compile(dialect=_NUMBERED)
            assert isinstance(compiled, SQLCompiler)
            self._numbered = str(compiled).encode(), tuple(compiled.positiontup or ())
        return self._numbered

    def _compile(self, dialect: Dialect) -> _Compiled:
        assert isinstance(dialect, DefaultDialect)
        named = type(dialect)(paramstyle=_PARAMSTYLE[dialect.name])
        found = self._statements[dialect.name].compile(dialect=named)
        fixed = {name: value for name, value in found.params.items() if value is not None}
        return self._compiled.setdefault(dialect.name, _Compiled(text=str(found), fixed=fixed))


def _wrapped(
    tx: Connection,
    connection: PoolProxiedConnection,
    cursor: DBAPICursor,
    statement: _Compiled,
    error: DBAPIModule.Error,
) -> DBAPIError:
    lost = tx.dialect.is_disconnect(error, connection, cursor)
    if lost:
        tx.invalidate(error)
    base = tx.dialect.loaded_dbapi.Error
    wrapped = DBAPIError.instance(
        statement.text, None, error, base, connection_invalidated=lost, dialect=tx.dialect
    )
    assert isinstance(wrapped, DBAPIError)
    return wrapped
