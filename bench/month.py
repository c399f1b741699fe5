"""A month of load in virtual time: the database grows up to its retention window, and not beyond.

    python bench/month.py [--days 31] [--tasks 1000] [--messages 20] [--database sqlite|postgresql]

Every simulated hour tasks are asked for, claimed, run (messages, a token, an entry in the audit) and
settled; then retention sweeps as the worker's duty does, without its rests. Ages are a quarter of the
defaults or less, so that a month holds several windows. On PostgreSQL a VACUUM each day stands for the
autovacuum that would have run. Prints a row for each day, with the steps of the writer;
exits with 1 when rows or bytes still grew in the last third.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import logging
import random
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import structlog
from backlog import fresh, postgres
from machine import describe
from sqlalchemy import make_url, text

from orchestrator.domain.attempt import AgentMessage, Snapshot, Usage
from orchestrator.domain.ending import Ending
from orchestrator.domain.outcome import Completed, Crashed
from orchestrator.domain.project import Project
from orchestrator.domain.retention import SHARE, Keep
from orchestrator.domain.settle import settle
from orchestrator.domain.task import Claim, NewTask, TaskState
from orchestrator.store import attempts, audit, callers, projects, queue, settling, tasks
from orchestrator.store.database import Database, Transaction, open_database
from orchestrator.worker.retention import Retention

HOUR = 3600.0
START = 1.8e9
WORKER = "month"
TABLES = ("tasks", "archived_tasks", "attempts", "attempt_messages", "events", "audit", "tokens")
WINDOWS = Keep(
    archive_after_days=1.0,
    archived_days=7.0,
    attempts_days=5.0,
    messages_days=3.0,
    events_days=4.0,
    audit_days=6.0,
    tokens_days=2.0,
)
LONGEST = 8
"""Days after which nothing that the windows hold can grow any more."""


@dataclasses.dataclass(frozen=True)
class Day:
    number: int
    bytes: int
    rows: dict[str, int]
    steps_ms: tuple[float, float, float]
    """Of the steps of retention on that day: the median, one in a hundred, the longest."""
    memory: int
    """Of the process, the most so far, in KiB."""


class Load:
    """Tasks as a month brings them, on a clock that is set by hand."""

    def __init__(self, database: Database, *, per_hour: int, messages: int, seed: int = 1) -> None:
        self._database = database
        self._per_hour = per_hour
        self._messages = messages
        self._random = random.Random(seed)
        self._made = 0
        self.now = START
        project = Project(id="month", name="Month", created_at=START, updated_at=START)
        database.run_sync(projects.create, project)

    def hour(self) -> None:
        """One hour's tasks, from asking to the end. Some wait for another, some fail and are tried again."""
        self.now += HOUR
        asked = self._database.run_sync(self._ask)
        for ids in (asked, asked):  # in the second round those that waited for others of the first
            self._database.run_sync(queue.wake_due, now=self.now)
            claims = self._database.run_sync(
                queue.claim, ids, worker=WORKER, now=self.now, lease_seconds=HOUR
            )
            self._database.run_sync(self._run, claims)
            endings = [self._ending(claim) for claim in claims]
            self._database.run_sync(settling.settle, endings, worker=WORKER, now=self.now)
        self._database.run_sync(self._give_up, asked)

    def _give_up(self, tx: Transaction, ids: list[str]) -> None:
        """A person cancels what waits for a task that failed."""
        for task_id in ids:
            task = tasks.get(tx, task_id)
            if task is not None and task.state is TaskState.BLOCKED:
                tasks.cancel(tx, task_id, now=self.now)

    def _ask(self, tx: Transaction) -> list[str]:
        ids: list[str] = []
        for number in range(self._per_hour):
            self._made += 1
            name = f"t{self._made:012}"
            needs = tuple(ids[:1]) if number % 10 == 9 else ()
            wanted = NewTask(
                project_id="month", title="A task", prompt="Do it. " * 20, depends_on=needs, max_attempts=1
            )
            tasks.create(tx, wanted, task_id=name, now=self.now)
            ids.append(name)
        return ids

    def _run(self, tx: Transaction, claims: list[Claim]) -> None:
        for claim in claims:
            attempts.begin(tx, claim, Snapshot(profile_id="coder", tier="task", effective={}), now=self.now)
            callers.issue(tx, claim, digest=claim.task.id, now=self.now)
            said = [
                AgentMessage(
                    sequence=number,
                    at=self.now,
                    kind="assistant",
                    body={"text": "word " * self._random.randint(10, 200)},
                )
                for number in range(1, self._messages + 1)
            ]
            attempts.append_messages(tx, claim, said)
            audit.record(tx, actor="month", command="create_task", subject=claim.task.id, now=self.now)

    def _ending(self, claim: Claim) -> Ending:
        failed = self._random.random() < 0.1
        outcome = Crashed(message="It gave up.") if failed else Completed(answer="Done. " * 20)
        settlement = settle(claim.task, outcome, now=self.now, jitter=0.5)
        return Ending(claim=claim, settlement=settlement, usage=Usage(cost_usd=0.01, turns=3))


def simulate(
    url: str, *, days: int, per_hour: int, messages: int, keep: Keep = WINDOWS, every: int = 1
) -> Iterator[Day]:
    """Each day as it ended. `every` so many hours retention sweeps."""
    with open_database(url) as database:
        load = Load(database, per_hour=per_hour, messages=messages)
        for number in range(1, days + 1):
            steps: list[float] = [0.0]

            async def step(rest: float, steps: list[float] = steps) -> None:
                steps.append(rest * SHARE / (1.0 - SHARE))

            retention = Retention(database=database, keep=keep, clock=lambda _: load.now, pause=step)
            for hour in range(24):
                load.hour()
                if hour % every == 0:
                    asyncio.run(retention.sweep())
            yield Day(
                number=number,
                bytes=_size(url),
                rows=database.read_sync(_rows),
                steps_ms=_spread(steps),
                memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            )


def still_growing(days: list[Day]) -> list[str]:
    """What was more at the end than in the middle third, by more than a tenth; empty when all was flat."""
    third = len(days) // 3
    middle, last = days[third : 2 * third], days[2 * third :]
    measures = {"bytes": lambda day: day.bytes, "KiB of memory": lambda day: day.memory}
    measures |= {table: lambda day, table=table: day.rows[table] for table in TABLES}
    return [
        name
        for name, measure in measures.items()
        if max(map(measure, last)) > 1.1 * max(map(measure, middle))
    ]


def _spread(seconds: list[float]) -> tuple[float, float, float]:
    ordered = sorted(seconds)
    return tuple(1000 * ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.99, 1.0))


def _rows(tx: Transaction) -> dict[str, int]:
    return {table: tx.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one() for table in TABLES}


def _size(url: str) -> int:
    if url.startswith("sqlite"):
        place = Path(make_url(url).database or "")
        parts = (place.with_name(place.name + suffix) for suffix in ("", "-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("VACUUM (ANALYZE)")
        row = admin.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        return int(row[0])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=31)
    parser.add_argument("--tasks", type=int, default=1000, help="a day")
    parser.add_argument("--messages", type=int, default=20, help="of each attempt")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    print(describe("psycopg"))
    print(
        f"{'day':>4} {'MiB':>7} {'RSS MiB':>8} {'step ms 50% 99% most':>20}  "
        + "  ".join(f"{t:>16}" for t in TABLES)
    )
    began, days = time.perf_counter(), []
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgres()) if given.database == "postgresql" else None
        url = stack.enter_context(fresh(given.database, server))
        per_hour = max(given.tasks // 24, 1)
        for day in simulate(url, days=given.days, per_hour=per_hour, messages=given.messages):
            days.append(day)
            rows = "  ".join(f"{day.rows[table]:>16,}" for table in TABLES)
            sizes = f"{day.number:>4} {day.bytes / 2**20:>7.1f} {day.memory / 1024:>8.1f}"
            print(f"{sizes} {' '.join(f'{ms:>6.1f}' for ms in day.steps_ms)}  {rows}", flush=True)
    growing = still_growing(days) if given.days >= 3 * LONGEST else []
    print(f"{time.perf_counter() - began:.0f} s; " + (f"still growing: {growing}" if growing else "flat"))
    return 1 if growing else 0


if __name__ == "__main__":
    sys.exit(main())
