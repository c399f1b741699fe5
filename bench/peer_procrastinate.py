"""procrastinate among the peers, with its psycopg connector. See `peer_part.py`."""

import asyncio
from collections.abc import Callable

import peer_part
import psycopg
from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

CONCURRENCY = 20
"""Jobs at once in one worker; each has its own connection's time, so more does not help."""

LOAD = """
INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args, status, scheduled_at)
SELECT 'default', 'nothing', %s, '{}', 'todo', CASE WHEN %s THEN now() + interval '1000 days' END
FROM generate_series(1, %s)
"""


class Procrastinate:
    def prepare(self, url: str, *, ahead: int, backlog: int, later: bool) -> None:
        with App(connector=SyncPsycopgConnector(conninfo=url)).open() as app:
            app.schema_manager.apply_schema()
        with psycopg.connect(url, autocommit=True) as connection:
            # Without triggers, which would announce every row of the backlog.
            connection.execute("SET session_replication_role = replica")
            connection.execute(LOAD, (0, later, backlog))
            connection.execute(LOAD, (1, False, ahead))
            connection.execute("VACUUM (ANALYZE) procrastinate_jobs")
            connection.execute("CHECKPOINT")

    def work(self, url: str, begun: Callable[[], None]) -> None:
        asyncio.run(_work(url, begun))

    def writer(self, url: str) -> Callable[[], None]:
        app = App(connector=SyncPsycopgConnector(conninfo=url)).open()

        @app.task(name="nothing", priority=1)
        async def nothing() -> None: ...

        return lambda: nothing.defer() and None

    def watcher(self, url: str) -> Callable[[], int]:
        connection = psycopg.connect(url, autocommit=True)
        left = "SELECT -count(*) FROM procrastinate_jobs"  # what is done is deleted
        return lambda: int(connection.execute(left).fetchone()[0])


async def _work(url: str, begun: Callable[[], None]) -> None:
    app = App(connector=PsycopgConnector(conninfo=url, min_size=4, max_size=CONCURRENCY))

    @app.task(name="nothing")
    async def nothing() -> None:
        begun()

    async with app.open_async():
        await app.run_worker_async(concurrency=CONCURRENCY, delete_jobs="successful", wait=True)


if __name__ == "__main__":
    peer_part.main(Procrastinate())
