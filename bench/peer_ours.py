"""Ours among its peers: the real worker, with a task that does nothing. See `peer_part.py`."""

import asyncio
import gc
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import peer_part
from sqlalchemy import text

import orchestrator.cli.lean  # noqa: F401 - as the command does
from orchestrator import logs
from orchestrator.domain.ending import Ending
from orchestrator.domain.task import Claim, NewTask, Settlement, TaskState
from orchestrator.harness.platform import PlatformRegistry
from orchestrator.store import tasks
from orchestrator.store.database import open_database
from orchestrator.worker.config import WorkerConfig
from orchestrator.worker.leash import Leash
from orchestrator.worker.loop import Worker
from orchestrator.worker.stop import Stop

SLOTS = 1000
"""How much runs at once: what has finished is settled, and what fits claimed, in one transaction."""
DONE = Settlement(state=TaskState.COMPLETED, outcome="completed", message="done", used_attempt=True)


class Ours:
    def prepare(self, url: str, *, ahead: int, backlog: int, later: bool) -> None:
        load(url, ahead=ahead, waiting=backlog, later=later)

    def work(self, url: str, begun: Callable[[], None]) -> None:
        asyncio.run(_work(url, begun))

    def writer(self, url: str) -> Callable[[], None]:
        database, ids = open_database(url), itertools.count()
        wanted = NewTask(project_id="bench", title="A task", prompt="Do it.", priority=1)

        def write() -> None:
            database.run_sync(tasks.create, wanted, task_id=f"w{next(ids):06}", now=time.time())

        return write

    def watcher(self, url: str) -> Callable[[], int]:
        database, count = open_database(url), text("SELECT count(*) FROM attempts WHERE ended_at IS NOT NULL")
        return lambda: database.read_sync(lambda tx: int(tx.execute(count).scalar_one()))


def load(url: str, *, ahead: int, waiting: int, later: bool) -> None:
    import backlog  # noqa: PLC0415 - its driver of PostgreSQL would count as the worker's memory

    with open_database(url, migrate=True) as database:
        backlog.load(database, waiting, prefix="b")
        if later:
            database.run_sync(lambda tx: tx.execute(text("UPDATE tasks SET run_at = 9e9")) and None)
        backlog.load(database, ahead, prefix="a", priority=1)
    backlog.rest(url)


async def _work(url: str, begun: Callable[[], None]) -> None:
    async def nothing(claim: Claim, _leash: Leash) -> Ending:
        begun()
        return Ending(claim=claim, settlement=DONE)

    with open_database(url) as database, tempfile.TemporaryDirectory() as home:
        worker = Worker(
            config=WorkerConfig(name="bench", home=Path(home), slots=SLOTS),
            database=database,
            registry=PlatformRegistry(),
            execute=nothing,
        )
        gc.freeze()  # as the command does
        await worker.run(Stop())


if __name__ == "__main__":
    logs.configure(level="error")
    peer_part.main(Ours())
