"""LISTEN and NOTIFY: PostgreSQL tells every listener, on every host, when a transaction commits."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import psycopg
import structlog
from psycopg import sql
from sqlalchemy import Connection, Engine

from orchestrator.store.outbox import Topic
from orchestrator.store.wake import Listener

RECONNECT_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
_NOTIFY: Final = {topic: f"pg_notify('orchestrator_{topic}', '')" for topic in Topic}

log = structlog.get_logger(__name__)


class NotifyBell:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def before_commit(self, tx: Connection, topics: frozenset[Topic]) -> None:
        if topics:
            tx.exec_driver_sql("SELECT " + ", ".join(_NOTIFY[topic] for topic in sorted(topics)))

    def after_commit(self, topics: frozenset[Topic]) -> None:
        """PostgreSQL delivers at commit."""

    @contextlib.asynccontextmanager
    async def listener(self, topic: Topic) -> AsyncIterator[Listener]:
        listener = Listener()
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
        options = {**parameters, "connect_timeout": 10, "application_name": "orchestrator listener"}
        # Without traffic of its own, only these notice that the other side has gone.
        alive = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
        connection = psycopg.connect(*arguments, **{**options, **alive, "autocommit": True})
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(f"orchestrator_{topic}")))
        return connection

    async def _keep(self, connection: psycopg.Connection | None, topic: Topic, listener: Listener) -> None:
        """Listen until cancelled. After a loss connect again, and ring: something may have been missed."""
        failures = 0
        while True:
            if connection is not None:
                failures = 0
                listener.ring()
                await _until_lost(connection, listener)
                connection = None
                log.warning("database.listener_lost", topic=topic)
            await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
            failures += 1
            with contextlib.suppress(psycopg.OperationalError):  # it is down; tried again
                connection = await asyncio.to_thread(self._connect, topic)


async def _until_lost(connection: psycopg.Connection, listener: Listener) -> None:
    loop = asyncio.get_running_loop()
    lost = asyncio.Event()
    descriptor = connection.fileno()

    def readable() -> None:
        try:
            connection.pgconn.consume_input()
        except psycopg.OperationalError:
            loop.remove_reader(descriptor)
            lost.set()
            return
        heard = False
        while connection.pgconn.notifies() is not None:
            heard = True
        if heard:
            listener.ring()

    loop.add_reader(descriptor, readable)
    try:
        await lost.wait()
    finally:
        loop.remove_reader(descriptor)
        connection.close()
