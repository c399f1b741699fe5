"""Doorbells beside a SQLite file: a named pipe per listener, which every writer rings after its commit."""

import asyncio
import contextlib
import os
import secrets
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from orchestrator.store.outbox import Topic
from orchestrator.store.wake import Listener

POLL_SECONDS: Final = 0.5
"""How often a listener also asks SQLite itself, for writers that know of no bell."""


class PipeBell:
    """Pipes and not sockets: their paths have no length limit, and the system says when nobody listens."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._folder = database.with_name(database.name + ".bells")

    def before_commit(self, tx: Connection, topics: frozenset[Topic]) -> None:
        """Nobody may look before the commit."""

    def after_commit(self, topics: frozenset[Topic]) -> None:
        if not topics:
            return
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as pipes:
            for pipe in pipes:
                if pipe.name.partition("-")[0] in topics:
                    _ring(pipe.path)

    @contextlib.asynccontextmanager
    async def listener(self, topic: Topic) -> AsyncIterator[Listener]:
        listener = Listener()
        loop = asyncio.get_running_loop()
        with self._pipe(topic) as pipe, self._watched(loop, listener):
            loop.add_reader(pipe, _heard, pipe, listener)
            try:
                yield listener
            finally:
                loop.remove_reader(pipe)

    @contextlib.contextmanager
    def _pipe(self, topic: Topic) -> Iterator[int]:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / f"{topic}-{os.getpid()}-{secrets.token_hex(4)}"
        # Hidden until it is open, or a writer would take it for a listener's that has died.
        hidden = path.with_name(f".{path.name}")
        os.mkfifo(hidden, 0o600)
        pipe = os.open(hidden, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            hidden.rename(path)
            yield pipe
        finally:
            path.unlink(missing_ok=True)
            os.close(pipe)

    @contextlib.contextmanager
    def _watched(self, loop: asyncio.AbstractEventLoop, listener: Listener) -> Iterator[None]:
        """Ring when any other connection changed the file. Asking costs microseconds and takes no lock."""
        uri = f"{self._database.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        (seen,) = connection.execute("PRAGMA data_version").fetchone()

        async def look() -> None:
            nonlocal seen
            while True:
                await asyncio.sleep(POLL_SECONDS)
                with contextlib.suppress(sqlite3.OperationalError):  # looked at again in a moment
                    (version,) = connection.execute("PRAGMA data_version").fetchone()
                    if version != seen:
                        listener.ring()
                    seen = version

        watch = loop.create_task(look(), name="database-version")
        try:
            yield
        finally:
            watch.cancel()
            connection.close()


def _ring(path: str) -> None:
    try:
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError:
        # Nobody has it open: its listener has died. Or it belongs to another user, who polls.
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - a plain string from scandir
        return
    try:
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # full: it will look anyway
            os.write(pipe, b".")
    finally:
        os.close(pipe)


def _heard(pipe: int, listener: Listener) -> None:
    with contextlib.suppress(BlockingIOError):
        os.read(pipe, 65536)
    listener.ring()
