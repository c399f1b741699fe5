"""No-op tasks claimed and settled per second, with backlogs of 0, 100,000 and 1,000,000."""

import argparse
import asyncio
import gc
import logging
import tempfile
import time
from pathlib import Path

import backlog
import structlog
from machine import describe

from orchestrator.domain.ending import Ending
from orchestrator.domain.task import Claim, Settlement, TaskState
from orchestrator.harness.platform import PlatformRegistry
from orchestrator.store.database import open_database
from orchestrator.worker.config import WorkerConfig
from orchestrator.worker.leash import Leash
from orchestrator.worker.loop import Worker
from orchestrator.worker.stop import Stop

DONE = Settlement(state=TaskState.COMPLETED, outcome="completed", message="done", used_attempt=True)


async def measure(url: str, *, tasks: int, slots: int) -> float:
    """Tasks a second, from the first claim to the last settlement."""
    database = open_database(url)
    stop = Stop()
    done = 0
    begun = ended = 0.0

    async def nothing(claim: Claim, _leash: Leash) -> Ending:
        nonlocal done, begun, ended
        begun = begun or time.perf_counter()
        done += 1
        if done == tasks:
            ended = time.perf_counter()
            stop.set()
        return Ending(claim=claim, settlement=DONE)

    with tempfile.TemporaryDirectory() as home:
        worker = Worker(
            config=WorkerConfig(name="bench", home=Path(home), slots=slots),
            database=database,
            registry=PlatformRegistry(),
            execute=nothing,
        )
        gc.freeze()  # as the command does
        await worker.run(stop)
    database.close()
    return done / (ended - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=40_000, help="tasks to run")
    parser.add_argument("--slots", type=int, default=1000, help="attempts at once: the size of a group")
    parser.add_argument("--backlogs", type=int, nargs="+", default=[0, 100_000, 1_000_000])
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(describe("psycopg"))
    print(f"\n{given.tasks:,} no-op tasks, {given.slots} at once, one worker\n")
    print(f"{'database':12} {'backlog':>10} {'tasks/s':>10} {'of empty':>9}")
    with backlog.postgres() as server:
        for kind in given.databases:
            first = 0.0
            for waiting in given.backlogs:
                with backlog.fresh(kind, server) as url:
                    database = open_database(url)
                    backlog.load(database, given.tasks, prefix="a", priority=1)
                    backlog.load(database, waiting, prefix="b")
                    backlog.rest(url)
                    database.close()
                    rate = asyncio.run(measure(url, tasks=given.tasks, slots=given.slots))
                first = first or rate
                print(f"{kind:12} {waiting:>10,} {rate:>10,.0f} {rate / first:>9.0%}", flush=True)


if __name__ == "__main__":
    main()
