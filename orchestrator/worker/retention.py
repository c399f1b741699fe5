"""Retention: a duty that takes away what was kept long enough, in steps so small that nobody waits for it."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.retention import Keep, Pace
from orchestrator.store import duties, queue
from orchestrator.store.database import Database, Transaction
from orchestrator.store.duties import Duty
from orchestrator.store.retention import SUBJECTS, Done, Keys, Subject
from orchestrator.worker.duties import on_duty

log = structlog.get_logger()

DUTY: Final = "retention"
FIRST_SECONDS: Final = 30.0
"""A start has better things to do than tidying up."""
FOUND: Final = 2000
"""Keys looked up at once, on a reader."""


class Retention:
    """One for a process. `clock` is the database's, by which all that is kept is dated: a host whose own is
    wrong would take away what is new. `pause` waits between two steps; tests need not wait."""

    def __init__(
        self,
        *,
        database: Database,
        keep: Keep,
        clock: Callable[[Transaction], float] = queue.clock,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._keep = keep
        self._clock = clock
        self._pause = pause
        self._paces = {subject.name: Pace() for subject in SUBJECTS}

    async def go_on(self, duty: Duty, *, seconds: float) -> None:
        """Sweep, and again every so many seconds, until cancelled: whoever loses the duty is."""
        await asyncio.sleep(min(seconds, FIRST_SECONDS))
        while True:
            try:
                await self.sweep(duty)
            except OrchestratorError as error:
                log.warning("retention.delayed", error=str(error))
            await asyncio.sleep(seconds)

    async def sweep(self, duty: Duty | None = None) -> dict[str, int]:
        """Take away all that is due by now; says how many rows of each kind. With a duty every step is fenced
        by it. Raises LeaseLost and DatabaseUnavailable; what is done by then is done."""
        gone: Counter[str] = Counter()
        for subject in SUBJECTS:
            rows = await self._exhaust(subject, duty)
            if rows:
                gone[subject.name] = rows
        if gone:
            log.info("retention.swept", **gone)
        return dict(gone)

    async def _exhaust(self, subject: Subject, duty: Duty | None) -> int:
        rows = 0
        while True:
            now, keys = await self._database.read(self._find, subject)
            before = rows
            while keys:
                done = await self._step(subject, keys, now, duty)
                rows += done.rows
                if not done.keys and not done.rows:
                    break
                keys = keys[done.keys :]
            if rows == before:
                return rows

    def _find(self, tx: Transaction, subject: Subject) -> tuple[float, Keys]:
        now = self._clock(tx)
        return now, subject.find(tx, self._keep, now, FOUND)

    async def _step(self, subject: Subject, keys: Keys, now: float, duty: Duty | None) -> Done:
        pace = self._paces[subject.name]
        size = pace.size

        def work(tx: Transaction) -> tuple[Done, float]:
            began = time.perf_counter()
            if duty is not None:
                duties.must_hold(tx, duty, now=queue.clock(tx))
            done = subject.remove(tx, keys[:size], now, size)
            return done, time.perf_counter() - began

        done, seconds = await self._database.run(work)
        pace.took(seconds)
        await self._pause(Pace.rest(seconds))
        return done


async def keep_bounded(retention: Retention, database: Database, *, holder: str, seconds: float) -> None:
    """Whenever nobody else does: sweep every so many seconds."""
    await on_duty(database, DUTY, holder=holder, work=lambda duty: retention.go_on(duty, seconds=seconds))
