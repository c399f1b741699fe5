"""pgqueuer among the peers, with asyncpg and uvloop as its documentation has it. See `peer_part.py`."""

import asyncio
from collections.abc import Callable

import asyncpg
import peer_part
import uvloop
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries

BATCH = 1000
"""Jobs taken, and logged as done, at once; as many as ours. It comes with 10."""

LOAD = """
INSERT INTO pgqueuer (priority, execute_after, status, entrypoint, payload)
SELECT $1, now() + make_interval(days => $2), 'queued', 'nothing', NULL FROM generate_series(1, $3)
"""


class PgQueuer:
    def __init__(self, batch: int = BATCH) -> None:
        self._batch = batch

    def prepare(self, url: str, *, ahead: int, backlog: int, later: bool) -> None:
        asyncio.run(_prepare(url, ahead, backlog, days=1000 if later else 0))

    def work(self, url: str, begun: Callable[[], None]) -> None:
        uvloop.run(_work(url, begun, self._batch))

    def writer(self, url: str) -> Callable[[], None]:
        loop = uvloop.new_event_loop()
        queries = Queries(AsyncpgDriver(loop.run_until_complete(asyncpg.connect(url))))
        return lambda: loop.run_until_complete(queries.enqueue("nothing", None, 1)) and None

    def watcher(self, url: str) -> Callable[[], int]:
        loop = uvloop.new_event_loop()
        connection = loop.run_until_complete(asyncpg.connect(url))
        left = "SELECT -count(*) FROM pgqueuer"  # what is done is deleted
        return lambda: int(loop.run_until_complete(connection.fetchval(left)))


async def _prepare(url: str, ahead: int, backlog: int, *, days: int) -> None:
    connection = await asyncpg.connect(url)
    await Queries(AsyncpgDriver(connection)).install()
    # Without triggers, which would announce every row of the backlog.
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(LOAD, 0, days, backlog)
    await connection.execute(LOAD, 1, 0, ahead)
    await connection.execute("VACUUM (ANALYZE) pgqueuer")
    await connection.execute("CHECKPOINT")
    await connection.close()


async def _work(url: str, begun: Callable[[], None], batch: int) -> None:
    manager = QueueManager(Queries(AsyncpgDriver(await asyncpg.connect(url))))

    @manager.entrypoint("nothing")
    async def nothing(_job: Job) -> None:
        begun()

    await manager.run(batch_size=batch)


if __name__ == "__main__":
    peer_part.main(PgQueuer())
