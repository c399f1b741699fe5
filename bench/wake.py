"""From a commit in another process to the start of the handler in an idle worker, and what idling costs.

    python bench/wake.py [--rounds 300] [--backlog 0] [--pause 0.02]

The backlog waits for its time (`run_at`), so that the worker is idle although the queue is long. The clock is
CLOCK_MONOTONIC, which processes of one machine share: read in the writer right after the commit returned,
and first thing in the handler.
"""

import argparse
import asyncio
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import backlog
import structlog
from machine import describe
from sqlalchemy import text

from orchestrator.domain.ending import Ending
from orchestrator.domain.task import Claim, NewTask, Settlement, TaskState
from orchestrator.harness.platform import PlatformRegistry
from orchestrator.store import tasks
from orchestrator.store.database import open_database
from orchestrator.worker.config import WorkerConfig
from orchestrator.worker.leash import Leash
from orchestrator.worker.loop import Worker
from orchestrator.worker.stop import Stop

DONE = Settlement(state=TaskState.COMPLETED, outcome="completed", message="done", used_attempt=True)
IDLE_SECONDS = 20.0
PAUSE_SECONDS = 0.02
"""Between two wake-ups, so that the worker is idle again."""


def write(url: str) -> None:
    """The other process: a task for each line on stdin; answers with the time after the commit."""
    with open_database(url) as database:
        for number, _ in enumerate(sys.stdin):
            wanted = NewTask(project_id="bench", title="A task", prompt="Do it.", priority=1)
            database.run_sync(tasks.create, wanted, task_id=f"w{number:06}", now=time.time())
            print(time.monotonic(), flush=True)


async def measure(url: str, rounds: int, pause: float = PAUSE_SECONDS) -> tuple[list[float], float, float]:
    """Latencies in ms, the share of a core that idling costs, and the worker's size in MiB."""
    database = open_database(url)
    stop = Stop()
    started: asyncio.Queue[float] = asyncio.Queue()

    async def handler(claim: Claim, _leash: Leash) -> Ending:
        started.put_nowait(time.monotonic())
        return Ending(claim=claim, settlement=DONE)

    with tempfile.TemporaryDirectory() as home:
        worker = Worker(
            config=WorkerConfig(name="bench", home=Path(home)),
            database=database,
            registry=PlatformRegistry(),
            execute=handler,
        )
        running = asyncio.create_task(worker.run(stop))
        writer = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            "--write",
            url,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert writer.stdin is not None
        assert writer.stdout is not None
        latencies = []
        for number in range(rounds + 20):
            writer.stdin.write(b"\n")
            at, line = await asyncio.gather(started.get(), writer.stdout.readline())
            if number >= 20:
                latencies.append((at - float(line)) * 1000)
            await asyncio.sleep(pause)
        writer.stdin.close()
        await writer.wait()
        before, begun = time.process_time(), time.monotonic()
        await asyncio.sleep(IDLE_SECONDS)
        idle = (time.process_time() - before) / (time.monotonic() - begun)
        stop.set()
        await running
    database.close()
    return latencies, idle, _resident()


def _resident() -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--backlog", type=int, default=0)
    parser.add_argument("--pause", type=float, default=PAUSE_SECONDS, help="seconds between two wake-ups")
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--write", help=argparse.SUPPRESS)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if given.write:
        write(given.write)
        return
    if given.one:
        report(given.one, given.rounds, given.pause)
        return
    print(describe("psycopg"))
    print(f"\n{given.rounds} tasks, {given.pause} s apart; {given.backlog:,} others wait for their time\n")
    head = ("database", "p50 ms", "p99 ms", "idle core", "MiB")
    print(f"{head[0]:12} {head[1]:>8} {head[2]:>8} {head[3]:>10} {head[4]:>6}", flush=True)
    with backlog.postgres() as server:
        for kind in given.databases:
            with backlog.fresh(kind, server) as url:
                database = open_database(url)
                backlog.load(database, given.backlog)
                later = text("UPDATE tasks SET run_at = 9e9")
                database.run_sync(lambda tx, later=later: tx.execute(later) and None)
                database.close()
                backlog.rest(url)
                # A process of its own, so that its size is the worker's and not that of the loading.
                subprocess.run(
                    [
                        sys.executable,
                        __file__,
                        "--one",
                        url,
                        f"--rounds={given.rounds}",
                        f"--pause={given.pause}",
                    ],
                    check=True,
                )


def report(url: str, rounds: int, pause: float) -> None:
    latencies, idle, size = asyncio.run(measure(url, rounds, pause))
    latencies.sort()
    p50, p99 = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    print(f"{url.partition(':')[0]:12} {p50:>8.2f} {p99:>8.2f} {idle:>10.2%} {size:>6.0f}", flush=True)


if __name__ == "__main__":
    main()
