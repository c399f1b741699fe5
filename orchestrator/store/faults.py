"""What a database driver complains of, as errors that name the way out."""

import re
import shlex
import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from orchestrator.domain.errors import Conflict, DatabaseUnavailable, OrchestratorError

_RETRYABLE: Final = frozenset({"40001", "40P01"})  # serialization failure, deadlock: surely rolled back

_SQLITE: Final = {
    sqlite3.SQLITE_FULL: "The disk of {place} is full; nothing was changed. Free some space and try again.",
    sqlite3.SQLITE_BUSY: "{place} stayed locked by another process; nothing was changed. "
    "See who has it open (`fuser {place}`), or try again.",
    sqlite3.SQLITE_READONLY: "{place} cannot be written; nothing was changed. "
    "Check the owner and the permissions of the file and of its directory.",
    sqlite3.SQLITE_CANTOPEN: "{place} cannot be opened. Check that its directory exists and that you may "
    "write there.",
    sqlite3.SQLITE_PERM: "{place} cannot be opened. Check the owner and the permissions.",
    sqlite3.SQLITE_IOERR: "Reading or writing {place} failed ({detail}); nothing was changed. "
    "Check the disk's space, quota and health.",
    sqlite3.SQLITE_NOTADB: "{place} is not a SQLite database. Name another file, or move this one away.",
    sqlite3.SQLITE_CORRUPT: "{place} is damaged ({detail}). Stop every worker and restore a copy, or save "
    "what can be read with `sqlite3 {place} .recover`.",
}

_POSTGRESQL: Final = {
    "53100": "The disk of {place} is full; nothing was changed. Free some space and try again.",
    "53300": "{place} has no connection left; raise its `max_connections` or stop other clients.",
    "55P03": "{place}: a lock was not given in time; nothing was changed. Try again.",
    "57P03": "{place} is starting up or shutting down; try again in a moment.",
    "25006": "{place} takes no writes (a standby?); nothing was changed. Use the primary's address.",
    "42501": "The user may not do this in {place} ({detail}); grant it the rights.",
}

# What a server says when it runs but lets nobody in. The driver has no SQLSTATE of a connection that was
# never made, only the text; where a server says it in another language, the general advice holds.
_NO_DATABASE: Final = re.compile(r'database "(?P<name>.*)" does not exist')
_NOT_ADMITTED: Final = re.compile(
    r'authentication failed|no password supplied|no pg_hba\.conf entry|role ".*" does not exist'
    r"|not permitted to log in"
)


def is_retryable(error: DBAPIError) -> bool:
    """Whether the transaction was surely rolled back by a clash with another, so that it may run again."""
    return getattr(error.orig, "sqlstate", None) in _RETRYABLE


def translated(error: DBAPIError, place: str) -> OrchestratorError:
    """The error for the operator. A driver's error that is none of these stays what it is: it is a bug."""
    original = error.orig
    detail = _detail(original)
    if isinstance(error, IntegrityError):
        return Conflict(f"Another change got there first ({detail}); nothing was changed.")
    if isinstance(original, sqlite3.Error):
        template = _template(original)
    else:  # psycopg is not named here: a process that works on SQLite does not load it
        template = _POSTGRESQL.get(getattr(original, "sqlstate", None) or "")
    if template is not None:
        return DatabaseUnavailable(template.format(place=place, detail=detail))
    unreachable = isinstance(error, OperationalError) and not isinstance(original, sqlite3.Error)
    if error.connection_invalidated or unreachable:
        return DatabaseUnavailable(_unreachable(place, detail))
    raise error


def _detail(original: object) -> str:
    """What a message repeats of a driver's: its first line, or the last of several addresses tried."""
    lines = str(original).strip().split("\n")
    tried_several = lines[0].startswith("Multiple connection attempts failed")
    return lines[-1].removeprefix("- ") if tried_several else lines[0]


def _unreachable(place: str, detail: str) -> str:
    if missing := _NO_DATABASE.search(detail):
        name = shlex.quote(missing["name"])
        return (
            f"{place}: the server runs, but has no such database ({detail}). Correct the name in the "
            f"address, or create the database (`createdb {name}`, owned by the user of the address), then "
            f"run `orchestrator migrate`."
        )
    if _NOT_ADMITTED.search(detail):
        return (
            f"{place}: the server runs, but does not let this user in ({detail}). Correct the user in the "
            f"address or the password (PGPASSWORD, ~/.pgpass or the address), or let its "
            f"pg_hba.conf admit him."
        )
    return (
        f"{place} cannot be reached ({detail}). Check that it runs, and that address, user and password are "
        f"right."
    )


def of_sqlite(error: sqlite3.Error, place: str) -> OrchestratorError:
    """The same for SQLite's own error, where a file is used without an engine."""
    template = _template(error)
    if template is None:
        raise error
    return DatabaseUnavailable(template.format(place=place, detail=error))


def _template(error: sqlite3.Error) -> str | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else _SQLITE.get(code & 0xFF)


def undecided(place: str) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"The connection to {place} was lost while a change was being committed: it may or may not have "
        f"been stored. Look before you repeat it."
    )
