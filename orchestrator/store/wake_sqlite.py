"""Doorbells beside a SQLite file: a named pipe per listener, which every writer rings after its commit."""

import asyncio
import contextlib
import errno
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

POLLED: Final = frozenset({Topic.QUEUE, Topic.EVENTS})
"""What somebody may change by SQLite's own means and expect to be seen at once. Of the rest, a slow look is
enough, or, of the remote, no look at all."""


class PipeBell:
    """Pipes and not sockets: their paths have no length limit, and the system says when nobody listens."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._folder = database.with_name(database.name + ".bells")
        self._watches: dict[_Watch, Topic] = {}

    def before_commit(self, tx: Connection, topics: frozenset[Topic]) -> None:
        """Nobody may look before the commit."""

    def after_commit(self, topics: frozenset[Topic]) -> None:
        for watch, topic in tuple(self._watches.items()):
            if topic not in topics:
                watch.ours = True
        if not topics:
            return
        # The commit has happened: whoever cannot be told of it finds out by looking.
        with contextlib.suppress(OSError), os.scandir(self._folder) as pipes:
            for pipe in pipes:
                if pipe.name.partition("-")[0] in topics:
                    _ring(pipe.path)

    @contextlib.asynccontextmanager
    async def listener(self, topic: Topic) -> AsyncIterator[Listener]:
        listener = Listener()
        loop = asyncio.get_running_loop()
        with self._pipe(topic) as pipe, contextlib.closing(self._connect()) as connection:
            watch = _Watch(connection, listener)
            loop.add_reader(pipe, watch.heard, pipe)
            poll = None
            if topic in POLLED:
                self._watches[watch] = topic
                poll = loop.create_task(watch.poll(), name=f"poll-{topic}")
            try:
                yield listener
            finally:
                if poll is not None:
                    poll.cancel()
                    del self._watches[watch]
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

    def _connect(self) -> sqlite3.Connection:
        uri = f"{self._database.absolute().as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, isolation_level=None)


class _Watch:
    """What a listener knows of the file: SQLite's own count of the changes that others made. Asking for it
    costs microseconds and takes no lock."""

    def __init__(self, connection: sqlite3.Connection, listener: Listener) -> None:
        self._connection = connection
        self._listener = listener
        self._seen = self._version()
        self.ours = False
        """Whether this process has committed something else since the last look: SQLite counts that too, and
        a heartbeat is no reason to wake anybody."""

    def heard(self, pipe: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(pipe, 65536)
        self._seen = self._version()  # so that the poll does not tell the same again
        self._listener.ring()

    async def poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            ours, self.ours = self.ours, False
            version = self._version()
            if version != self._seen:
                self._seen = version
                if not ours:
                    self._listener.ring()

    def _version(self) -> int | None:
        try:
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.OperationalError:  # busy or out of reach: looked at again in a moment
            return None
        return int(version)


def _ring(path: str) -> None:
    try:
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nobody has it open: its listener has died
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108 - a plain string from scandir
        return
    try:
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # full: it will look anyway
            os.write(pipe, b".")
    finally:
        os.close(pipe)
