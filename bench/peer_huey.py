"""huey among the peers, on SQLite, without results and as durable as ours. See `peer_part.py`."""

import sqlite3
import time
from collections.abc import Callable

import peer_part
from huey import Huey
from huey.storage import SqliteStorage

THREADS = 1
"""A consumer's threads: more only wait for SQLite's lock, and for Python's."""


class Durable(SqliteStorage):
    """With `synchronous=NORMAL` as ours, which in WAL mode survives the process and the machine. Its own
    settings are FULL, a wait for the disk at every commit, and OFF, which a crash may corrupt."""

    def _create_connection(self) -> sqlite3.Connection:
        connection = super()._create_connection()
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection


class HueyOnSqlite:
    def prepare(self, url: str, *, ahead: int, backlog: int, later: bool) -> None:
        huey, nothing = _huey(url, lambda: None)
        message = huey.serialize_task(nothing.s())
        at = time.time() + 1000 * 86400
        with sqlite3.connect(url) as connection:
            if later:
                rows = (("bench", message, at) for _ in range(backlog))
                connection.executemany("INSERT INTO schedule (queue, data, timestamp) VALUES (?, ?, ?)", rows)
            else:
                _enqueue(connection, message, backlog, priority=0)
            _enqueue(connection, message, ahead, priority=1)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    def work(self, url: str, begun: Callable[[], None]) -> None:
        huey, _ = _huey(url, begun)
        huey.create_consumer(workers=THREADS, periodic=False).run()

    def writer(self, url: str) -> Callable[[], None]:
        _, nothing = _huey(url, lambda: None)
        return lambda: nothing(priority=1) and None

    def watcher(self, url: str) -> Callable[[], int]:
        connection = sqlite3.connect(url)
        left = "SELECT -count(*) FROM task"  # what is taken is deleted, and nothing else is ever written
        return lambda: int(connection.execute(left).fetchone()[0])


def _huey(path: str, begun: Callable[[], None]):
    huey = Huey("bench", storage_class=Durable, filename=path, results=False)

    @huey.task(name="nothing")
    def nothing() -> None:
        begun()

    return huey, nothing


def _enqueue(connection: sqlite3.Connection, message: bytes, count: int, *, priority: int) -> None:
    rows = (("bench", message, priority) for _ in range(count))
    connection.executemany("INSERT INTO task (queue, data, priority) VALUES (?, ?, ?)", rows)


if __name__ == "__main__":
    peer_part.main(HueyOnSqlite())
