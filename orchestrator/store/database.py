"""The one door to SQL: a store function goes in, runs in one transaction in a thread, its result returns."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeAlias, TypeVar

from sqlalchemy import URL, Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from orchestrator.domain.errors import DatabaseNotMigrated, DatabaseTooNew, DatabaseUnavailable
from orchestrator.store import engines, faults
from orchestrator.store.outbox import Topic, flush, open_outbox
from orchestrator.store.tables import REVISION
from orchestrator.store.wake import Bell, Listener
from orchestrator.store.wake_sqlite import PipeBell

Transaction: TypeAlias = Connection
"""What a store function takes first; the name for those who never see SQL."""

P = ParamSpec("P")
T = TypeVar("T")

TRIES: Final = 4
"""How often a transaction runs when others keep clashing with it."""


class Database:
    """Made by `open_database`. `writers` and `readers` are one engine where the database itself
    lets many write at once; on SQLite one thread writes and others read beside it."""

    def __init__(
        self,
        *,
        place: str,
        writers: Engine,
        readers: Engine,
        bell: Bell,
        threads: int,
        reading: int = 0,
    ) -> None:
        self.place = place
        self.dialect = writers.dialect.name
        self._writers = writers
        self._readers = readers
        self._bell = bell
        self._write_threads = ThreadPoolExecutor(threads, thread_name_prefix="database")
        self._read_threads = (
            self._write_threads
            if readers is writers
            else ThreadPoolExecutor(reading, thread_name_prefix="database-read")
        )

    async def run(
        self, work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(tx, ...)` in one transaction and return what it returns, once that is committed.

        An exception rolls back. After a clash with another transaction it runs again, so it must have no
        effect but in the database. A cancelled call has either not happened or has ended when it raises.
        """
        return await _finished(self._write_threads.submit(self._retried, self._transact, work, args, kwargs))

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(tx, ...)` on one unchanging state of the database, without waiting for writers."""
        return await _finished(self._read_threads.submit(self._retried, self._look, work, args, kwargs))

    def run_sync(
        self, work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`run` for callers without an event loop."""
        return self._write_threads.submit(self._retried, self._transact, work, args, kwargs).result()

    def read_sync(
        self, work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`read` for callers without an event loop."""
        return self._read_threads.submit(self._retried, self._look, work, args, kwargs).result()

    def listener(self, topic: Topic = Topic.QUEUE) -> AbstractAsyncContextManager[Listener]:
        """Woken by every commit that marked `topic` as changed, in whichever process."""
        return self._bell.listener(topic)

    def close(self) -> None:
        """Wait for what is running, then close every connection."""
        for threads in (self._write_threads, self._read_threads):
            threads.shutdown(wait=True)
        for engine in (self._readers, self._writers):
            engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _retried(
        self,
        once: Callable[[Callable[..., T], tuple[Any, ...], dict[str, Any]], T],
        work: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> T:
        for left in reversed(range(TRIES)):
            try:
                return once(work, args, kwargs)
            except DBAPIError as error:
                # A connection that was lost before the commit took the transaction with it.
                if left and (faults.is_retryable(error) or error.connection_invalidated):
                    continue
                raise faults.translated(error, self.place) from error
        raise AssertionError("the last try returns or raises")

    def _transact(self, work: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        with self._writers.connect() as tx, tx.begin() as transaction:
            outbox = open_outbox(tx)
            result = work(tx, *args, **kwargs)
            flush(tx)
            topics = frozenset(outbox.topics)
            self._bell.before_commit(tx, topics)
            try:
                transaction.commit()
            except DBAPIError as error:
                if error.connection_invalidated:
                    raise faults.undecided(self.place) from error
                raise
        self._bell.after_commit(topics)
        return result

    def _look(self, work: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        with self._readers.connect() as tx:
            if self.dialect == "postgresql":
                tx.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with tx.begin():
                return work(tx, *args, **kwargs)


async def _finished(future: Future[T]) -> T:
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        if not future.cancel():
            with contextlib.suppress(Exception):
                await asyncio.wrap_future(future)
        raise


def open_database(url: str, *, migrate: bool | None = None) -> Database:
    """The database at `url`. `migrate` says whether an older or empty one is brought up to date; by default
    a SQLite file is and PostgreSQL, which other hosts use too, is not.

    Raises ConfigurationError, DatabaseUnavailable, DatabaseTooNew or DatabaseNotMigrated.
    """
    parsed = engines.parse(url)
    place = engines.place(parsed)
    if parsed.get_backend_name() == "sqlite":
        database = _open_sqlite(parsed, place, create=migrate is not False)
    else:
        # Lazily, as psycopg takes 10 MiB and most installations never need it.
        from orchestrator.store.wake_postgres import NotifyBell  # noqa: PLC0415 - loaded only for PostgreSQL

        engine = engines.postgresql(parsed)
        database = Database(
            place=place,
            writers=engine,
            readers=engine,
            bell=NotifyBell(engine, engines.postgresql_settings(parsed)),
            threads=engines.POSTGRES_THREADS,
        )
    allowed = database.dialect == "sqlite" if migrate is None else migrate
    try:
        _bring_up_to_date(database, allowed=allowed)
    except BaseException:
        database.close()
        raise
    return database


def _open_sqlite(url: URL, place: str, *, create: bool) -> Database:
    path = Path(place)
    try:
        if not path.exists():
            if not create:
                raise DatabaseNotMigrated(f"There is no database at {place} yet; run `orchestrator migrate`.")
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
    except OSError as error:
        raise DatabaseUnavailable(
            f"{place} cannot be opened or created ({error.strerror}). Check the directory, its owner and its "
            f"space."
        ) from error
    return Database(
        place=place,
        writers=engines.sqlite_writer(url),
        readers=engines.sqlite_readers(url),
        bell=PipeBell(path),
        threads=1,
        reading=engines.SQLITE_READERS,
    )


def _bring_up_to_date(database: Database, *, allowed: bool) -> None:
    if database.read_sync(revision) == REVISION:
        return
    # Lazily, as Alembic takes a tenth of a second to load and nearly every start has nothing for it to do.
    from orchestrator.store import migrations  # noqa: PLC0415 - loaded only when there is work for it

    age = database.read_sync(migrations.age)
    if age is migrations.Age.NEWER:
        raise DatabaseTooNew(
            f"{database.place} was written by a newer version of orchestrator. Upgrade this program, or "
            f"use a copy of the database from before."
        )
    if age is not migrations.Age.CURRENT:
        if not allowed:
            state = "has no tables yet" if age is migrations.Age.EMPTY else "is older than this program"
            raise DatabaseNotMigrated(f"{database.place} {state}; run `orchestrator migrate`.")
        database.run_sync(migrations.upgrade)


def revision(tx: Connection) -> str | None:
    """The migration that the schema says it is at; `None` before the first."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    return tx.execute(text("SELECT version_num FROM alembic_version")).scalar()
