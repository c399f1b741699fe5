"""Migrations in a process of their own, which ends with what Alembic took: 9 MiB that a worker would keep."""

import os
import signal
import threading
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from orchestrator.store import engines
from orchestrator.store.database import open_database, revision
from orchestrator.store.tables import REVISION


def migrate(url: str) -> None:
    """Bring a SQLite database up to date before it is opened for long, in a child that is waited for.

    Nothing happens when there is nothing to do, on PostgreSQL, which no start changes by itself, and beside
    other threads, which no fork survives. What the child failed at is tried again, and told, by
    `open_database`. Raises ConfigurationError.
    """
    parsed = engines.parse(url)
    if parsed.get_backend_name() != "sqlite" or threading.active_count() > 1 or _is_current(parsed):
        return
    child = os.fork()
    if child == 0:
        _migrate_and_exit(url)
    os.waitpid(child, 0)


def _is_current(url: URL) -> bool:
    if not Path(engines.place(url)).exists():
        return False
    engine = engines.sqlite_readers(url)
    try:
        with engine.connect() as tx:
            return revision(tx) == REVISION
    except DBAPIError:
        return True  # whoever opens it says what is wrong
    finally:
        engine.dispose()


def _migrate_and_exit(url: str) -> None:
    code = 1
    try:
        # The parent's handlers write to the parent's loop.
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        open_database(url, migrate=True).close()
        code = 0
    except Exception:  # noqa: BLE001, S110 - the parent finds the same and tells it
        pass
    finally:
        os._exit(code)
