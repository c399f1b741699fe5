"""A storm: workers that are killed at random instants while they work, and what is true after it."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psutil
from sqlalchemy import text

from orchestrator.domain.project import Project
from orchestrator.domain.task import NewTask, TaskState
from orchestrator.store import projects, queue, tasks, workers
from orchestrator.store.database import Database, Transaction

BACKLOG = 12
"""Tasks that wait at any time, so that no worker is idle when it is killed."""

FOLLOWS = {"completed": "task.completed", "lost": "task.rescued", "interrupted": "task.snoozed"}
"""What is said of a task when an attempt has ended so; of any other it is that another follows."""

TIMES = {"lease_seconds": 3.0, "heartbeat_seconds": 0.5, "poll_seconds": 0.5, "drain_seconds": 10.0}


@dataclass(frozen=True)
class Victim:
    """A forked worker, held by a descriptor: its number may be used again, the descriptor not."""

    pid: int
    descriptor: int

    def send(self, number: int) -> None:
        """Without effect on one that has ended meanwhile."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.descriptor, number)

    def gone(self, seconds: float) -> bool:
        return bool(select.select([self.descriptor], [], [], seconds)[0])

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self.gone(10), f"worker {self.pid} survived SIGKILL"
        os.close(self.descriptor)


class Nursery:
    """Forks workers from a process that has loaded everything. All of them end with its scope."""

    def __init__(self, url: str, home: Path, cli: str, *, inside: Sequence[str] = ()) -> None:
        """`inside` is a command that starts another in surroundings of its own."""
        self._inside = inside
        self.log = home.parent / "workers.log"
        """What all of them say."""
        self._given = {"url": url, "home": str(home), "cli": cli, "log": str(self.log)}
        self._born: list[Victim] = []

    def __enter__(self) -> "Nursery":
        self._process = subprocess.Popen(
            [*self._inside, sys.executable, str(Path(__file__).with_name("worker_process.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._born:
            if not Path(f"/proc/self/fd/{one.descriptor}").exists() or one.gone(0):
                continue
            one.kill()
        self._process.communicate()

    def beside(self, url: str) -> "Nursery":
        """Another for the same home, here, with the database at `url`."""
        return Nursery(url, Path(self._given["home"]), self._given["cli"])

    def fork(self, *, clock_ahead: float = 0.0, **worker: Any) -> Victim:
        settings = {"name": "victim", "slots": 2, "max_losses": 10**6, **TIMES, **worker}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = json.dumps({**self._given, "worker": settings, "clock_ahead": clock_ahead})
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        victim = Victim(pid=pid, descriptor=os.pidfd_open(pid))
        self._born.append(victim)
        return victim


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is true after a storm, as the database and the process table say."""

    kills: int
    tasks: int
    lost_attempts: int
    seconds: float
    faults: tuple[str, ...]
    """Whatever should not be: empty when nothing was lost, doubled, left over or beyond a limit."""


@dataclass(kw_only=True)
class Storm:
    database: Database
    nursery: Nursery
    seats: int
    limit: int
    """Attempts of the project at once."""
    script: str = "lines=20;say=half;result=whole"
    seed: int = 1
    prefix: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    asked: int = 0
    excepted: set[str] = field(default_factory=set)

    def begin(self) -> None:
        fields = {"max_concurrent": self.limit, "created_at": 1.0, "updated_at": 1.0}
        project = Project(id=self.prefix, name=self.prefix, **fields)  # type: ignore[arg-type]  # the caller's
        self.database.run_sync(projects.create, project)

    def rage(self, kills: int, *, pause: float = 0.6) -> Found:
        """Kill a worker at a random instant, `kills` times, and put another in its seat; then let one worker
        for each seat finish what is left."""
        begun, random = time.monotonic(), Random(self.seed)
        self.begin()
        seats = [self.nursery.fork() for _ in range(self.seats)]
        for _ in range(kills):
            self.feed()
            time.sleep(random.uniform(0.0, pause))
            seat = random.randrange(self.seats)
            seats[seat].kill()
            seats[seat] = self.nursery.fork()
        # One that was lost many times in a row waits for minutes before it is tried again.
        faults = self.finish(seconds=900)
        for one in seats:
            one.send(signal.SIGTERM)
        faults += [f"worker {one.pid} did not stop" for one in seats if not one.gone(20)]
        return self.found(kills, begun, faults)

    def found(self, kills: int, begun: float, faults: Sequence[str]) -> Found:
        return Found(
            kills=kills,
            tasks=self.asked,
            lost_attempts=self._count("SELECT count(*) FROM attempts WHERE outcome = 'lost'"),
            seconds=time.monotonic() - begun,
            faults=tuple(faults),
        )

    def ask(self, script: str, *, anyhow: bool = False, **fields: Any) -> str:
        """One more task; one that may end `anyhow` is not looked at when all is over."""
        self.asked += 1
        task_id = f"{self.prefix}-{self.asked:06}"
        given = {"project_id": self.prefix, "title": task_id, "prompt": f"FAKE[{script}]", "max_attempts": 50}
        self.database.run_sync(tasks.create, NewTask(**{**given, **fields}), task_id=task_id, now=time.time())
        if anyhow:
            self.excepted.add(task_id)
        return task_id

    def feed(self) -> None:
        for _ in range(BACKLOG - len(self._left())):
            self.ask(self.script)

    def goes_on(self, attempts: int = 4) -> None:
        """Wait until so many more attempts have begun and one of them is under way."""
        enough = self._count("SELECT count(*) FROM attempts") + attempts
        until(lambda: self._count("SELECT count(*) FROM attempts") >= enough, 60)
        until(lambda: self._count("SELECT count(*) FROM attempts WHERE ended_at IS NULL") > 0, 60)

    def leases(self, one: Victim) -> int:
        """How many claims the worker has whose time is not over."""
        query = text(
            "SELECT count(*) FROM tasks t JOIN workers w ON w.id = t.claimed_by "
            "WHERE w.pid = :pid AND t.lease_until > :now"
        )
        return self.database.read_sync(
            lambda tx: int(tx.execute(query, {"pid": one.pid, "now": queue.clock(tx)}).scalar_one())
        )

    def silence(self) -> float:
        """Seconds since any worker was last heard of."""
        query = text("SELECT max(seen_at) FROM workers")
        return self.database.read_sync(lambda tx: queue.clock(tx) - float(tx.execute(query).scalar_one()))

    def said(self, event: str) -> int:
        """How often workers have logged it."""
        return self.nursery.log.read_text(encoding="utf-8").count(event)

    def finish(self, seconds: float = 120) -> list[str]:
        """Wait until all is over, and say what should not be."""
        with contextlib.suppress(AssertionError):  # what is left is among the faults
            until(lambda: not self._left(), seconds)
        return self.faults()

    def state(self, task_id: str) -> TaskState | None:
        task = self.database.read_sync(tasks.get, task_id)
        return task.state if task else None

    def drain(self) -> None:
        """By command, as a person would from any host."""
        for one in self.database.read_sync(workers.list_workers):
            self.database.run_sync(workers.ask_to_drain, one.id)

    def first_outcome(self, task_id: str, seconds: float) -> str | None:
        def outcome() -> str | None:
            query = text("SELECT outcome FROM attempts WHERE task_id = :id AND number = 1")
            return self.database.read_sync(lambda tx: tx.execute(query, {"id": task_id}).scalar())

        with contextlib.suppress(AssertionError):
            until(lambda: outcome() is not None, seconds)
        return outcome()

    def faults(self) -> list[str]:
        """Everything that should not be."""
        read = self.database.read_sync
        return [
            *(one for one in read(_not_ended_once) if not self.excepted & set(one.split(" "))),
            *read(_events_not_once),
            *read(_attempts_beyond, self.prefix, self.limit),
            *left_over(self.prefix),
        ]

    def _left(self) -> list[str]:
        query = text("SELECT id FROM tasks WHERE state IN ('READY', 'ASSIGNED', 'IN_PROGRESS')")
        waiting = self.database.read_sync(lambda tx: list(tx.execute(query).scalars()))
        return [task_id for task_id in waiting if task_id not in self.excepted]

    def _count(self, query: str) -> int:
        return self.database.read_sync(lambda tx: int(tx.execute(text(query)).scalar_one()))


def until(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def left_over(prefix: str, seconds: float = 5.0) -> list[str]:
    """Processes of attempts that are still there, after a moment for those just killed."""
    deadline = time.monotonic() + seconds
    while (found := _processes(prefix)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [f"left over: {one}" for one in found]


def _processes(prefix: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            marker = process.environ().get("ORCHESTRATOR_ATTEMPT", "")
            if marker.startswith(prefix) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {marker}")
        except (psutil.Error, OSError):
            continue
    return found


def _not_ended_once(tx: Transaction) -> list[str]:
    """Tasks that are not over, or whose attempts do not end in exactly one that completed."""
    query = text(
        "SELECT t.id, t.state, t.result, sum(CASE WHEN a.outcome = 'completed' THEN 1 ELSE 0 END), "
        "sum(CASE WHEN a.ended_at IS NULL THEN 1 ELSE 0 END), count(*), max(a.number), t.attempt "
        "FROM tasks t LEFT JOIN attempts a ON a.task_id = t.id GROUP BY t.id, t.state, t.result, t.attempt"
    )
    return [
        f"task {row[0]} : {tuple(row[1:])}"
        for row in tx.execute(query)
        if tuple(row[1:5]) != ("COMPLETED", "whole", 1, 0) or not row[5] == row[6] == row[7]
    ]


def _events_not_once(tx: Transaction) -> list[str]:
    """Facts that were announced twice or never."""
    said = Counter((row[0], row[1]) for row in tx.execute(text("SELECT subject, kind FROM events")))
    tried = tx.execute(text("SELECT task_id, number, profile_id, outcome FROM attempts")).all()
    wanted: Counter[tuple[str, str]] = Counter()
    for task_id, number, profile_id, outcome in tried:
        subject = f"task/{task_id}/attempt/{number}"
        wanted[subject, "attempt.ended"] += 1
        if profile_id is not None:
            wanted[subject, "profile.applied"] += 1
            wanted[f"task/{task_id}", "attempt.started"] += 1
        wanted[f"task/{task_id}", FOLLOWS.get(outcome, "task.retry_scheduled")] += 1
    for (task_id,) in tx.execute(text("SELECT id FROM tasks")):
        wanted[f"task/{task_id}", "task.created"] += 1
    ours = {key: count for key, count in said.items() if key[0].startswith("task/")}
    differ = {key for key in {*ours, *wanted} if ours.get(key, 0) != wanted[key]}
    return [f"event {kind} of {subject}: {said[subject, kind]} times" for subject, kind in sorted(differ)]


def _attempts_beyond(tx: Transaction, project: str, limit: int) -> list[str]:
    """When more attempts of the project were open than its limit allows; by the database's clock."""
    query = text("SELECT started_at, ended_at FROM attempts WHERE project_id = :project")
    rows = tx.execute(query, {"project": project}).all()
    moments = sorted([(end, -1) for _, end in rows if end is not None] + [(begin, 1) for begin, _ in rows])
    at_once, beyond = 0, []
    for at, change in moments:
        at_once += change
        if at_once > limit:
            beyond.append(f"{at_once} attempts at once at {at}")
    return beyond[:5]
