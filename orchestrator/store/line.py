"""A connection that the event loop itself reads: it hears what others announce, and asks without a thread."""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import structlog
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from orchestrator.store.prepared import Prepared, Rows

log = structlog.get_logger(__name__)


class Line:
    """One question at a time, each a transaction of its own. Out of a sleep, a hop to a thread and back takes
    an idle worker as long as the statement does."""

    def __init__(self, connection: psycopg.Connection[Any], heard: Callable[[], None]) -> None:
        """`heard` is called when something was announced, as long as the line is neither lost nor closed."""
        self.lost = asyncio.Event()
        self._connection = connection
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._descriptor = connection.fileno()
        self._reader = Transformer(connection)
        self._names: dict[Prepared, bytes] = {}
        self._numbers = itertools.count()
        self._asked: asyncio.Future[PGresult | None] | None = None
        self._answer: PGresult | None = None
        connection.pgconn.nonblocking = 1
        self._loop.add_reader(self._descriptor, self._read)

    def close(self) -> None:
        """Whoever waits for an answer gets none."""
        if not self.lost.is_set():
            self.lost.set()
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
            self._connection.close()
            self._answer = None
            self._answered()

    async def rows(self, statement: Prepared, values: Mapping[str, Any]) -> Rows | None:
        """What the statement answers with. `None` where the server refused it, where another question waits
        for its answer, or where the line was lost: then it may have been carried out."""
        text, names = statement.numbered()
        name = self._names.get(statement)
        if name is None:
            # Never the same again: whoever did not wait for the answer left a statement of that name behind.
            name = f"line_{next(self._numbers)}".encode()
            if await self._ask(lambda to: to.send_prepare(name, text)) is None:
                return None
            self._names[statement] = name
        given = [_written(values[one]) for one in names]
        answer = await self._ask(lambda to: to.send_query_prepared(name, given))
        if answer is None:
            return None
        self._reader.set_pgresult(answer)
        return self._reader.load_rows(0, answer.ntuples, tuple)

    async def _ask(self, send: Callable[[Any], None]) -> PGresult | None:
        if self._asked is not None or self.lost.is_set():
            return None
        asked = self._asked = self._loop.create_future()
        try:
            send(self._connection.pgconn)
            self._flush()
        except psycopg.OperationalError:
            self.close()
        answer: PGresult | None = await asked
        if answer is not None and answer.status == ExecStatus.FATAL_ERROR:
            log.warning("database.refused", error=answer.get_error_message())
            return None
        return answer

    def _flush(self) -> None:
        if self._connection.pgconn.flush():  # the rest when there is room for it
            self._loop.add_writer(self._descriptor, self._write)

    def _write(self) -> None:
        self._loop.remove_writer(self._descriptor)
        try:
            self._flush()
        except psycopg.OperationalError:
            self.close()

    def _read(self) -> None:
        pgconn, heard = self._connection.pgconn, False
        try:
            pgconn.consume_input()
            while self._asked is not None and not pgconn.is_busy():
                if (part := pgconn.get_result()) is None:
                    self._answered()
                else:
                    self._answer = part
            # Last: what came behind an answer is found only when that has been taken.
            while pgconn.notifies() is not None:
                heard = True
        except psycopg.OperationalError:
            self.close()
        if heard:
            self._heard()

    def _answered(self) -> None:
        asked, answer = self._asked, self._answer
        self._asked = self._answer = None
        if asked is not None and not asked.done():
            asked.set_result(answer)


def _written(value: str | float | bool | None) -> bytes | None:
    """As PostgreSQL reads it."""
    return None if value is None else str(value).encode()
