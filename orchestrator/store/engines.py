"""Connections to SQLite and PostgreSQL, set up the way the store relies on."""

import sqlite3
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError

from orchestrator.domain.errors import ConfigurationError
from orchestrator.store.prepared import Prepared

BUSY_SECONDS: Final = 10.0
"""How long a writer of SQLite waits for another process's transaction before it gives up."""
POSTGRES_THREADS: Final = 8
AGAIN_SECONDS: Final = 0.02
"""Between two tries where SQLite does not wait by itself."""
IDLE_SECONDS: Final = 60
"""How long a transaction may go on without a word before the server ends it and frees what it holds."""
SILENCE: Final = {
    "tcp_user_timeout": 15_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}
"""After 15 to 20 seconds a network that drops everything counts as a lost connection; by default it would
after a quarter of an hour, or two hours. The server is asked for the same: who is gone holds no locks."""
LOCK_SECONDS: Final = 25
"""How long a lock is waited for on PostgreSQL: for longer than a host whose network is gone can hold it."""
SQLITE_READERS: Final = 3
_WHERE: Final = ("host", "port")
_SYNCHRONOUS: Final = {"normal": "NORMAL", "full": "FULL"}


def parse(url: str, *, named: str = "database.url") -> URL:
    """The database's address: `sqlite:///file` or `postgresql://...`. Raises ConfigurationError, which says
    where it stands: `named`."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        # The text may hold a password, so the message does not repeat it.
        raise ConfigurationError(
            f"{named} is not an address; write `sqlite:////var/lib/orchestrator/orchestrator.db` or "
            "`postgresql://user@host/name`",
            field=named,
        ) from error
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed.set(drivername="sqlite+pysqlite")
    raise ConfigurationError(f"{named} names {backend!r}; use a SQLite file or PostgreSQL", field=named)


def place(url: URL) -> str:
    """How messages name the database: never with its password, and of its options only those that say where
    it is, such as the directory of a unix socket."""
    if url.get_backend_name() == "sqlite":
        return str(file(url))
    where = urlencode({name: url.query[name] for name in _WHERE if name in url.query}, doseq=True, safe="/,")
    server = url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)
    return f"{server}?{where}" if where else server


def file(url: URL) -> Path:
    """The file of a SQLite database."""
    return Path(url.database or "").absolute()


def written(url: str) -> str:
    """An address as a setting has it, with `***` for a password."""
    return make_url(url).render_as_string(hide_password=True)


def postgresql(url: URL) -> Engine:
    return create_engine(
        url.difference_update_query(["options"]),
        pool_size=POSTGRES_THREADS,
        max_overflow=0,
        connect_args=postgresql_settings(url),
    )


def postgresql_settings(url: URL) -> dict[str, Any]:
    """What every connection is opened with, beyond what the address says."""
    options = (
        f"-c lock_timeout={LOCK_SECONDS}s -c idle_in_transaction_session_timeout={IDLE_SECONDS}s "
        + " ".join(f"-c tcp_{name.removeprefix('tcp_')}={value}" for name, value in SILENCE.items())
    )
    given = url.query.get("options")
    return {
        "options": f"{options} {given}" if isinstance(given, str) else options,
        "connect_timeout": 10,
        "application_name": "orchestrator",
        **{name: value for name, value in SILENCE.items() if name not in url.query},
    }


def sqlite_writer(url: URL) -> Engine:
    """One connection whose every transaction takes the write lock at its beginning: taken later, it could
    fail half-way without waiting."""
    return _sqlite(url, begin="BEGIN IMMEDIATE", connections=1, pragmas=("cache_size = -16384",))


def sqlite_readers(url: URL) -> Engine:
    """Connections that see one state each, beside the writer and without waiting for it."""
    return _sqlite(url, begin="BEGIN", connections=SQLITE_READERS, pragmas=("query_only = ON",))


def _sqlite(url: URL, *, begin: str, connections: int, pragmas: tuple[str, ...]) -> Engine:
    wanted = str(url.query.get("synchronous", "normal")).lower()
    if wanted not in _SYNCHRONOUS:
        raise ConfigurationError("synchronous is `normal` or `full`", field="database.url")
    engine = create_engine(
        url.set(query={}),
        pool_size=connections,
        max_overflow=0,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False, "isolation_level": None},
    )

    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        write_ahead(connection)
        for pragma in (
            f"synchronous = {_SYNCHRONOUS[wanted]}",
            "foreign_keys = ON",
            "journal_size_limit = 67108864",
            *pragmas,
        ):
            connection.execute(f"PRAGMA {pragma}")

    beginning = Prepared({"sqlite": text(begin)})

    def start(connection: Connection) -> None:
        beginning.rows(connection, {})

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", start)
    return engine


def write_ahead(connection: sqlite3.Connection, *, patience: float = BUSY_SECONDS) -> None:
    """Have the file write ahead (WAL). Of two processes that open a new one at once, SQLite tells one that it
    is busy, whatever its time limit, as each holds what the other waits for. That one tries again."""
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(AGAIN_SECONDS)
        else:
            return
