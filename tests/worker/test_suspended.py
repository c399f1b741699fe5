"""A machine that was suspended: its leases went on running out while it did not."""

import asyncio
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Connection, update

from orchestrator.domain.ending import Ending
from orchestrator.domain.task import Claim, Settlement, TaskState
from orchestrator.store import duties, queue
from orchestrator.store.database import Database
from orchestrator.store.duties import Duty
from orchestrator.store.tables import tasks
from orchestrator.store.workers import Worker as Row
from orchestrator.worker.clock import Clock, since_boot
from orchestrator.worker.config import WorkerConfig
from orchestrator.worker.duties import on_duty
from orchestrator.worker.heart import Heart
from orchestrator.worker.leash import Leash
from orchestrator.worker.running import Attempts

pytestmark = pytest.mark.anyio

HOUR = 3600.0
AT_ONCE = 8.0
"""Seconds: a heartbeat and the patience with an answer, and time for a busy machine; not near a lease."""


DONE = Settlement(state=TaskState.COMPLETED, outcome="completed", message="", used_attempt=True)


@dataclass
class Machine:
    """Its clock since it started; `suspend` is what nobody on it takes notice of otherwise."""

    suspended: float = 0.0

    def __call__(self) -> float:
        return since_boot() + self.suspended

    def suspend(self, seconds: float = HOUR) -> None:
        self.suspended += seconds


@dataclass
class Agents:
    """In the place of real ones: an attempt begins, and goes on until it is let go."""

    began: list[int] = field(default_factory=list)
    here: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, claim: Claim, leash: Leash) -> Ending:
        self.began.append(claim.attempt)
        self.here.set()
        try:
            await self.go.wait()
        finally:
            self.ended.set()
        return Ending(claim=claim, settlement=DONE)


@contextmanager
def silent(database: Database) -> Iterator[None]:
    """No transaction that writes is answered meanwhile, and none is refused."""
    reached, let_go = threading.Event(), threading.Event()

    def keep(tx: Connection) -> None:
        reached.set()
        let_go.wait(30)

    keeping = threading.Thread(target=database.run_sync, args=(keep,))
    keeping.start()
    try:
        assert reached.wait(10)
        yield
    finally:
        let_go.set()
        keeping.join(10)


async def test_agents_are_stopped_at_the_first_look_after_a_sleep_when_the_database_keeps_silent(
    sqlite_lab,
) -> None:
    agents, machine = Agents(), Machine()
    sqlite_lab.ask()
    worker = sqlite_lab.worker(execute=agents, since_boot=machine, lease_seconds=60.0)
    async with sqlite_lab.working(worker):
        await sqlite_lab.until(lambda: agents.began == [1])
        with silent(sqlite_lab.database):
            machine.suspend()
            async with asyncio.timeout(AT_ONCE):
                await agents.ended.wait()


async def test_a_sleep_in_the_midst_of_a_heartbeat_is_noticed_although_no_answer_comes(sqlite_lab) -> None:
    agents, machine, running = Agents(), Machine(), Attempts(1)
    claim = Claim(task=sqlite_lab.task(sqlite_lab.ask()), worker="w", attempt=1, lease_until=0.0)
    attempting = running.start(claim, 0)
    config = WorkerConfig(name="w", home=sqlite_lab.home, lease_seconds=60.0, heartbeat_seconds=0.3)
    row = Row(
        id="w", host="h", pid=1, version="1", slots=1, labels=(), started_at=0.0, seen_at=0.0, details={}
    )
    heart = Heart(row=row, config=config, database=sqlite_lab.database, running=running, since_boot=machine)
    with silent(sqlite_lab.database):
        asking = asyncio.create_task(heart.beat())
        attempting.body = asyncio.create_task(agents(claim, attempting.leash))
        await agents.here.wait()  # made to wait first, the heart has asked by then
        machine.suspend()
        async with asyncio.timeout(AT_ONCE):
            await agents.ended.wait()
        assert not asking.done()
    await asking


async def test_what_nobody_has_taken_meanwhile_goes_on_after_a_sleep(sqlite_lab) -> None:
    """By the database's clock the lease is over as well. The worker's look for what others lost comes before
    its heartbeat here, and must not take its own attempt for one."""
    agents, machine = Agents(), Machine()
    task_id = sqlite_lab.ask()

    def run_out(tx: Connection) -> None:
        tx.execute(update(tasks).where(tasks.c.id == task_id).values(lease_until=queue.clock(tx) - HOUR))

    def held() -> bool:
        return sqlite_lab.task(task_id).lease_until > time.time()

    worker = sqlite_lab.worker(execute=agents, since_boot=machine, lease_seconds=3.0, heartbeat_seconds=1.5)
    async with sqlite_lab.working(worker):
        await sqlite_lab.until(lambda: agents.began == [1])
        await sqlite_lab.database.run(run_out)
        machine.suspend()
        await sqlite_lab.until(lambda: held() or agents.ended.is_set())
        agents.go.set()
        await sqlite_lab.until(lambda: sqlite_lab.task(task_id).state is TaskState.COMPLETED)
    assert agents.began == [1]
    assert [one.outcome for one in sqlite_lab.attempts(task_id)] == ["completed"]


async def test_a_duty_is_laid_down_after_a_sleep_when_the_database_keeps_silent(sqlite_lab) -> None:
    machine, began, stopped = Machine(), asyncio.Event(), asyncio.Event()

    async def work(_duty: Duty) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    database = sqlite_lab.database
    duty = asyncio.create_task(
        on_duty(database, "vault", holder="a", work=work, lease_seconds=6.0, since_boot=machine)
    )
    async with asyncio.timeout(2 * AT_ONCE):
        await began.wait()
        with silent(database):
            machine.suspend()
            async with asyncio.timeout(4.5):
                await stopped.wait()
        duty.cancel()
        await asyncio.gather(duty, return_exceptions=True)
    assert [one.name for one in await database.read(duties.list_duties)] == ["vault"]


def test_the_databases_time_goes_on_while_the_machine_is_suspended() -> None:
    machine = Machine()
    now = Clock(lambda: 5.0, machine)
    assert now() == 5.0
    now.learn(1000.0)
    machine.suspend()
    assert 1000.0 + HOUR <= now() < 1000.0 + HOUR + AT_ONCE


def test_the_time_since_the_start_goes_by_the_clock_that_a_suspension_does_not_stop() -> None:
    """The kernel can be had to say that this clock is an hour ahead of the one that is stopped."""
    hour_asleep = ("unshare", "--user", "--map-root-user", "--time", "--boottime", f"{HOUR:.0f}", "--fork")
    if shutil.which("unshare") is None or subprocess.run([*hour_asleep, "true"], check=False).returncode:
        pytest.skip("no time namespaces here")
    asked = "import time, orchestrator.worker.clock as c; print(c.since_boot() - time.monotonic())"
    said = subprocess.run([*hour_asleep, sys.executable, "-c", asked], capture_output=True, check=True)
    assert float(said.stdout) > HOUR - AT_ONCE
