"""LISTEN and NOTIFY: PostgreSQL tells every listener, on every host, when a transaction commits."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import psycopg
import structlog
from psycopg import sql
from sqlalchemy import Connection, Engine

from orchestrator.store.line import Line
from orchestrator.store.outbox import Topic
from orchestrator.store.prepared import Prepared, Rows
from orchestrator.store.wake import Listener

RECONNECT_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
_NOTIFY: Final = {topic: f"pg_notify('orchestrator_{topic}', '')" for topic in Topic}
_PLANS: Final = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off"
"""What is asked on a line finds its rows by their indexes whatever the values, so it is planned once, as
planning takes longer than the rest; by an index, too, where a table was small by then."""

log = structlog.get_logger(__name__)


class NotifyBell:
    def __init__(self, engine: Engine, settings: Mapping[str, Any]) -> None:
        """`settings` are those of every connection: without traffic of its own, a listener notices only by
        them that the other side has gone."""
        self._engine = engine
        self._settings = settings

    def before_commit(self, tx: Connection, topics: frozenset[Topic]) -> None:
        if topics:
            tx.exec_driver_sql("SELECT " + ", ".join(_NOTIFY[topic] for topic in sorted(topics)))

    def after_commit(self, topics: frozenset[Topic]) -> None:
        """PostgreSQL delivers at commit."""

    @contextlib.asynccontextmanager
    async def listener(self, topic: Topic) -> AsyncIterator[Listener]:
        listener = _LineListener()
        connection = None
        with contextlib.suppress(psycopg.OperationalError):  # it is down just now; tried again
            connection = await asyncio.to_thread(self._connect, topic)
        keeper = asyncio.create_task(self._keep(connection, topic, listener), name=f"listen-{topic}")
        try:
            yield listener
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    def _connect(self, topic: Topic) -> psycopg.Connection:
        """A connection of its own: it is listening all the time, so it cannot be one of the pool."""
        arguments, parameters = self._engine.dialect.create_connect_args(self._engine.url)
        named = {
            **parameters,
            **self._settings,
            "options": f"{self._settings['options']} {_PLANS}",
            "application_name": "orchestrator listener",
            "client_encoding": "utf8",
        }
        connection = psycopg.connect(*arguments, **{**named, "autocommit": True})
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(f"orchestrator_{topic}")))
        return connection

    async def _keep(
        self, connection: psycopg.Connection | None, topic: Topic, listener: "_LineListener"
    ) -> None:
        """Listen until cancelled. After a loss connect again, and ring: something may have been missed."""
        failures = 0
        while True:
            if connection is not None:
                failures = 0
                await listener.hear(connection)
                connection = None
                log.warning("database.listener_lost", topic=topic)
            await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
            failures += 1
            with contextlib.suppress(psycopg.OperationalError):  # it is down; tried again
                connection = await asyncio.to_thread(self._connect, topic)


class _LineListener(Listener):
    """Asks on the line that it hears by, as long as there is one."""

    def __init__(self) -> None:
        super().__init__()
        self._line: Line | None = None

    async def hear(self, connection: psycopg.Connection) -> None:
        """Ring, since something may have been missed, and for what is announced until the line is lost."""
        self._line = line = Line(connection, self.ring)
        self.ring()
        try:
            await line.lost.wait()
        finally:
            self._line = None
            line.close()

    async def ask(self, statement: Prepared, values: Mapping[str, Any]) -> Rows | None:
        return None if self._line is None else await self._line.rows(statement, values)
