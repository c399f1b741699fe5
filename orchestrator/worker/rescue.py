"""Taking over from workers that died: their leases, and what their agents left running on this host."""

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from orchestrator.domain.lack import OF_A_HOST
from orchestrator.domain.lifecycle import MAX_LOSSES
from orchestrator.harness.process import end_leftovers
from orchestrator.harness.process.leftovers import attempts_alive, boot_id, look_up, pid_namespace
from orchestrator.store import duties, queue, rescue, tasks, workers
from orchestrator.store.database import Database, Transaction
from orchestrator.store.rescue import Rescued, Terms
from orchestrator.store.workers import Worker as Row
from orchestrator.worker.left_behind import LeftBehind

log = structlog.get_logger()


class Rescue:
    """Run at the start and from time to time. Processes are ended before their task can be claimed again."""

    def __init__(
        self,
        *,
        row: Row,
        database: Database,
        left_behind: LeftBehind,
        max_losses: int = MAX_LOSSES,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._row = row
        self._database = database
        self._left_behind = left_behind
        self._max_losses = max_losses
        self._jitter = jitter

    async def arrive(self) -> float:
        """Take back at once what a worker of this host held whose process is gone, then present ourselves.
        Returns the database's time."""
        known = await self._database.read(workers.list_workers)
        dead = [row for row in known if row.host == self._row.host and gone(row)]
        if dead:
            await self._take_back([row.id for row in dead])
        await self.expired()
        await self._left_behind.of_all()
        return await self._database.run(_register, self._row)

    async def expired(self) -> int:
        """Take back every lease that has run out, whoever held it. Returns how many there were."""
        found = await self._database.read(_expired)
        if not found:
            return 0
        spared = await self._end_processes(found)
        rescued = await self._database.run(_rescue_expired, self._jitter(), self._max_losses, spared)
        self._tell(rescued)
        await self._left_behind.of([(one.task_id, one.attempt) for one in rescued])
        return len(rescued)

    async def _take_back(self, dead: Sequence[str]) -> None:
        held = await self._database.read(rescue.held_by, dead)
        spared = await self._end_processes(held)
        rescued = await self._database.run(_rescue_from, dead, self._jitter(), self._max_losses, spared)
        self._tell(rescued)

    async def _end_processes(self, attempts: Sequence[tuple[str, int]]) -> frozenset[str]:
        """The agents of these attempts, and everything they started, as far as it runs on this host. Answers
        with the tasks of which something is left even so: they are taken back when it is gone."""
        names = [f"{task_id}/{number}" for task_id, number in attempts]
        if names and (killed := await asyncio.to_thread(end_leftovers, [], names)):
            left = await asyncio.to_thread(attempts_alive, names)
            log.warning("leftovers.ended", processes=len(killed), attempts=names, left=sorted(left))
            return frozenset(name.rpartition("/")[0] for name in left)
        return frozenset()

    def _tell(self, rescued: Sequence[Rescued]) -> None:
        for one in rescued:
            log.warning(
                "task.rescued", task_id=one.task_id, attempt=one.attempt, worker=one.worker, state=one.state
            )


def details() -> dict[str, Any]:
    """What this process is known by to the others of this host."""
    me = look_up(os.getpid())
    return {"boot": boot_id(), "namespace": pid_namespace(), "started": me.started if me else 0}


def gone(row: Row) -> bool:
    """Whether the process that registered is known to be there no more: numbers are used again, start times
    are not. A name is no proof of a host: of another boot, or of another container on this one, nobody here
    can say, and what its worker held waits for its leases."""
    here = details()
    if any(row.details.get(name) != here[name] for name in ("boot", "namespace")):
        return False
    process = look_up(row.pid)
    return process is None or not process.alive or row.details.get("started") != process.started


OF_THE_INSTALLATION: Final = ("authentication", "start_refused", "harness_missing", *OF_A_HOST)
"""Holds that a start with other settings may lift, or on a host that has what the others lack."""


def _register(tx: Transaction, row: Row) -> float:
    """What others held they decide on anew, knowing by then that this one is there."""
    now = queue.clock(tx)
    workers.forget(tx, now=now)
    workers.register(tx, replace(row, started_at=now, seen_at=now))
    tasks.reconsider(tx, holds=OF_THE_INSTALLATION)
    return now


def _expired(tx: Transaction) -> list[tuple[str, int]]:
    return rescue.expired(tx, now=queue.clock(tx))


def _rescue_expired(tx: Transaction, jitter: float, max_losses: int, spared: frozenset[str]) -> list[Rescued]:
    terms = Terms(now=queue.clock(tx), jitter=jitter, max_losses=max_losses, spared=spared)
    return rescue.rescue_expired(tx, terms)


def _rescue_from(
    tx: Transaction, dead: Sequence[str], jitter: float, max_losses: int, spared: frozenset[str]
) -> list[Rescued]:
    rescued: list[Rescued] = []
    terms = Terms(now=queue.clock(tx), jitter=jitter, max_losses=max_losses, spared=spared)
    while some := rescue.rescue_from(tx, dead, terms):
        rescued += some
    for worker in dead:
        duties.release(tx, worker)
        workers.leave(tx, worker)
    return rescued
