"""Many agents on one worker: whether all they say is stored, no heartbeat is late, and what the worker takes.

    python bench/agents.py [--agents 500] [--seconds 60] [--rate 5]

A small stand-in that speaks Claude Code's protocol says so many messages a second. Agents are started as the
worker starts them, a few at a time; from when all talk, for as long as asked, the worker's own CPU time and
memory are measured, and the rows in the database that show its heartbeat. It ends when all are settled.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from idle import cpu_seconds, mebibytes
from machine import describe
from sqlalchemy import text

from orchestrator.domain.project import Project
from orchestrator.domain.task import NewTask
from orchestrator.store import projects, tasks
from orchestrator.store.database import Database, Transaction, open_database

FAKE = Path(__file__).parent.parent / "tests" / "fakes" / "agent.py"
STARTS_A_SECOND = 4.0
"""What the slowest machine should manage; the agents talk for that much longer."""
BEAT_SECONDS = 5.0
LATE_SECONDS = 2 * BEAT_SECONDS
BOUND = 900.0
TALKING = text(
    "SELECT count(*) FROM attempts a WHERE ended_at IS NULL "
    "AND EXISTS (SELECT 1 FROM attempt_messages m WHERE m.task_id = a.task_id AND m.number = a.number)"
)
STORED = text("SELECT count(*) FROM attempt_messages WHERE kind = 'text'")
BEAT = text("SELECT seen_at, (SELECT min(lease_until) FROM tasks WHERE state = 'IN_PROGRESS') FROM workers")
OPEN = text("SELECT count(*) FROM tasks WHERE state NOT IN ('COMPLETED', 'FAILED', 'BLOCKED', 'CANCELLED')")
STATES = text("SELECT state, count(*) FROM tasks GROUP BY state")


@dataclass(kw_only=True)
class Beats:
    """What was seen of the worker's heartbeat, looking twice a second."""

    longest: float = 0.0
    """Seconds between two that were seen."""
    least_left: float = float("inf")
    """Seconds that a lease had left when it was renewed last, at worst."""
    seen: set[float] = field(default_factory=set)

    def look(self, database: Database) -> None:
        seen_at, lease_until = database.read_sync(lambda tx: tuple(tx.execute(BEAT).one()))
        self.longest = max(self.longest, seen_at - max(self.seen, default=seen_at), time.time() - seen_at)
        self.seen.add(seen_at)
        if lease_until is not None:
            self.least_left = min(self.least_left, lease_until - time.time())


@contextmanager
def worker(home: Path, agents: int) -> Iterator[int]:
    """The process id of a worker with so many slots, whose agents are the stand-in."""
    log = home / "log"
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "ORCHESTRATOR_HOME": str(home / "state"),
        "ORCHESTRATOR_WORKER__SLOTS": str(agents),
        "ORCHESTRATOR_CLAUDE__CLI_PATH": str(FAKE),
        "ORCHESTRATOR_CLAUDE__API_KEY": "unused",
        "ORCHESTRATOR_VAULT__GIT__ENABLED": "false",
    }
    program = [sys.executable, "-c", "from orchestrator.cli.main import main; main()", "worker"]
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(program, env=environment, stdin=subprocess.DEVNULL, stderr=stderr)
    try:
        wait(lambda: "worker.started" in log.read_text(encoding="utf-8"), process)
        yield process.pid
    except TimeoutError:
        sys.exit(log.read_text(encoding="utf-8")[-4000:])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(BOUND)


def wait(happened, process: subprocess.Popen[bytes] | None = None) -> None:
    """Look twice a second, for a bounded time."""
    deadline = time.monotonic() + BOUND
    while not happened():
        if time.monotonic() > deadline or (process is not None and process.poll() is not None):
            raise TimeoutError
        time.sleep(0.5)


def ask(tx: Transaction, agents: int, prompt: str) -> None:
    now = time.time()
    projects.create(tx, Project(id="bench", name="bench", created_at=now, updated_at=now))
    for number in range(agents):
        wanted = NewTask(project_id="bench", title="Talk", prompt=prompt)
        tasks.create(tx, wanted, task_id=f"t{number:05}", now=now)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--agents", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0, help="for which all of them talk")
    parser.add_argument("--rate", type=float, default=5.0, help="messages a second of each")
    given = parser.parse_args()
    messages = int((given.seconds + given.agents / STARTS_A_SECOND) * given.rate)
    print(describe("psycopg"))
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as place:
        home = Path(place)
        with (
            worker(home, given.agents) as pid,
            open_database(f"sqlite:///{home}/state/orchestrator.db") as db,
        ):
            met = run(given, db, pid, messages)
    sys.exit(not met)


def run(given: argparse.Namespace, db: Database, pid: int, messages: int) -> bool:
    def count(query) -> int:
        return db.read_sync(lambda tx: int(tx.execute(query).scalar_one()))

    before, beats, asked = mebibytes(pid, "Rss"), Beats(), time.monotonic()
    db.run_sync(ask, given.agents, f"FAKE[talk={messages}:{1 / given.rate}]")

    def all_talk() -> bool:
        beats.look(db)
        return count(TALKING) == given.agents

    wait(all_talk)
    starting = time.monotonic() - asked
    cpu, stored, began = cpu_seconds(pid), count(STORED), time.monotonic()
    while time.monotonic() - began < given.seconds:
        beats.look(db)
        time.sleep(0.5)
    elapsed = time.monotonic() - began
    share, rate = 100 * (cpu_seconds(pid) - cpu) / elapsed, (count(STORED) - stored) / elapsed
    rss, together = mebibytes(pid, "Rss"), count(TALKING)
    wait(lambda: beats.look(db) or count(OPEN) == 0)
    expected, found = given.agents * messages, count(STORED)
    states = ", ".join(f"{state} {n}" for state, n in db.read_sync(lambda tx: [*tx.execute(STATES)]))
    late = beats.longest > LATE_SECONDS
    print(f"{given.agents} agents, {given.rate:g} messages a second each; {together} talked to the end\n")
    print(f"all had begun after         {starting:8.1f} s")
    print(
        f"messages stored             {found:8,} of {expected:,}   {'all' if found == expected else 'LOST'}"
    )
    print(f"stored while all talked     {rate:8,.0f} a second")
    print(f"between heartbeats, longest {beats.longest:8.1f} s     {'LATE' if late else 'none late'}")
    print(f"a lease's least time left   {beats.least_left:8.1f} s of 30")
    print(
        f"worker's own CPU            {share:8.1f} % of a core, {share / given.agents:.3f} % for each agent"
    )
    print(
        f"worker's memory             {rss:8.1f} MiB, {(rss - before) / given.agents:.2f} MiB for each agent"
    )
    print(f"tasks                       {states}")
    return found == expected and not late


if __name__ == "__main__":
    main()
