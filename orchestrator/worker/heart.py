"""Heartbeats: keep the leases, and hear what the database has to say about them."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from orchestrator.domain.errors import DatabaseUnavailable
from orchestrator.domain.outcome import Asked, Cancelled
from orchestrator.domain.task import Claim
from orchestrator.store import questions, queue, workers
from orchestrator.store.database import Database, Transaction
from orchestrator.store.queue import Beat
from orchestrator.store.workers import Worker as Row
from orchestrator.worker.clock import since_boot
from orchestrator.worker.config import WorkerConfig
from orchestrator.worker.running import Attempts, Key, key_of

log = structlog.get_logger()

PATIENCE = 1.0
"""Seconds that an answer may take of which the lease is over already: asked at once, it may still be ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What the database has to say: of each claim that is still ours, what a person is asked, and whether
    this worker is to drain."""

    beats: Sequence[Beat]
    asked: Mapping[Key, str]
    drain: bool


class Heart:
    """Beats by itself, and looks in between when asked to. `draining` is announced with each beat.

    Leases run out by the database's clock also while this machine is suspended, so they are measured
    `since_boot`. Timers stand still then: what a suspension cost is found at most `heartbeat_seconds` after
    it, at the beat that is overdue. Other hosts may have an attempt for so long before ours is ended.
    """

    def __init__(
        self,
        *,
        row: Row,
        config: WorkerConfig,
        database: Database,
        running: Attempts,
        since_boot: Callable[[], float] = since_boot,
    ) -> None:
        self.draining = False
        self.told_to_drain: Callable[[], None] = lambda: None
        """Called when somebody asked this worker to drain, by a command."""
        self._row = row
        self._worker = row.id
        self._config = config
        self._database = database
        self._running = running
        self._since_boot = since_boot
        self._last = since_boot()
        self._turning_since: float | None = None
        self._asked = asyncio.Event()

    def turn_begins(self) -> None:
        """A turn of the queue goes on, or the one before failed: each beat says since when, so that a loop
        that hangs is noticed although the heart goes on. Only the time awake counts: a loop that was
        suspended does not hang."""
        if self._turning_since is None:
            self._turning_since = time.monotonic()

    def turn_ends(self) -> None:
        """It came to something."""
        self._turning_since = None

    def look(self) -> None:
        """Something changed: see whether a cancel, or a person, was asked for. It only reads: a write would
        be one more change to look at."""
        self._asked.set()

    async def keep_beating(self) -> None:
        due = self._since_boot() + self._config.heartbeat_seconds
        while True:
            self._asked.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due - self._since_boot()):
                    await self._asked.wait()
            if self._since_boot() < due:
                await self._look()
                continue
            await self.beat()
            due = self._since_boot() + self._config.heartbeat_seconds

    async def _look(self) -> None:
        claims = self._running.claims()
        ids = [claim.task.id for claim in claims]
        try:
            heard = await self._answered(self._database.read(_look, ids, self._worker))
        except DatabaseUnavailable as error:
            log.warning("heartbeat.failed", error=str(error))
            return
        self._hear(claims, heard)

    async def beat(self) -> None:
        """Extend every lease. An attempt whose claim is no longer ours is ended, and so is every attempt when
        the database has been away for the length of a lease: another worker may have them by now."""
        claims = self._running.claims()
        begun, since = self._since_boot(), self._turning_since
        try:
            heard = await self._answered(
                self._database.run(
                    _beat,
                    [claim.task.id for claim in claims],
                    self._row,
                    self._config.lease_seconds,
                    self.draining,
                    None if since is None else time.monotonic() - since,
                )
            )
        except DatabaseUnavailable as error:
            log.warning("heartbeat.failed", error=str(error))
            if self._since_boot() - self._last > self._config.lease_seconds:
                self._lose_all("the database could not be reached in time")
            return
        self._last = begun
        self._hear(claims, heard)

    async def _answered(self, answer: Awaitable[Heard]) -> Heard:
        """The answer, however long it takes. A database that keeps silent, as when its network is gone and
        nobody is told, refuses nothing: what runs is ended with its lease all the same."""
        loop = asyncio.get_running_loop()
        over = max(self._last + self._config.lease_seconds, self._since_boot() + PATIENCE)
        silent: asyncio.TimerHandle

        def wait() -> asyncio.TimerHandle:
            return loop.call_later(min(over - self._since_boot(), self._config.heartbeat_seconds), look)

        def look() -> None:
            nonlocal silent
            if self._since_boot() < over:
                silent = wait()  # in steps, since a suspension brings the end nearer than a timer knows
            else:
                self._lose_all("the database kept silent for too long")

        silent = wait()
        try:
            return await answer
        finally:
            silent.cancel()

    def _lose_all(self, why: str) -> None:
        self._lose([key_of(claim) for claim in self._running.claims()], why)

    def _hear(self, claims: Sequence[Claim], heard: Heard) -> None:
        if heard.drain and not self.draining:
            log.info("worker.told_to_drain", worker=self._worker)
            self.told_to_drain()
        ours = {(beat.task_id, beat.attempt): beat for beat in heard.beats}
        lost = [key for key in map(key_of, claims) if key not in ours]
        self._lose(lost, "another worker took it back")
        for key, beat in ours.items():
            if beat.cancel_requested:
                self._running.ask(key, Cancelled())
            elif key in heard.asked:
                self._running.ask(key, Asked(question=heard.asked[key]))

    def _lose(self, keys: Sequence[tuple[str, int]], why: str) -> None:
        for key in keys:
            if self._running.lose(key):
                log.warning("lease.lost", task_id=key[0], attempt=key[1], why=why)


def _beat(
    tx: Transaction,
    ids: Sequence[str],
    row: Row,
    lease_seconds: float,
    draining: bool,
    turning: float | None,
) -> Heard:
    now = queue.clock(tx)
    since = None if turning is None else now - turning
    if not workers.seen(tx, row.id, now=now, draining=draining, turning_since=since):
        # Somebody took it for gone: it says that it is not, and does not wait to be asked.
        workers.register(tx, replace(row, seen_at=now, draining=draining, turning_since=since))
    beats = queue.heartbeat(tx, ids, worker=row.id, now=now, lease_seconds=lease_seconds)
    return _heard(tx, beats, ids, row.id)


def _look(tx: Transaction, ids: Sequence[str], worker: str) -> Heard:
    return _heard(tx, queue.look(tx, ids, worker=worker) if ids else (), ids, worker)


def _heard(tx: Transaction, beats: Sequence[Beat], ids: Sequence[str], worker: str) -> Heard:
    return Heard(beats=beats, asked=questions.unanswered(tx, ids), drain=workers.asked_to_drain(tx, worker))
