"""The duty that makes tasks by the clock: wakes when a schedule is due, or when one was changed."""

import asyncio
import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import structlog

from orchestrator.domain.errors import DatabaseUnavailable, OrchestratorError
from orchestrator.harness.process import Isolation, probe
from orchestrator.occurrences import following
from orchestrator.store import firing, projects, queue
from orchestrator.store.database import Database, Transaction
from orchestrator.store.duties import Duty
from orchestrator.store.firing import CHECK_MARGIN, Check, Look, Verdict
from orchestrator.store.outbox import Topic
from orchestrator.worker.clock import since_boot
from orchestrator.worker.condition import ask

log = structlog.get_logger()

DUTY: Final = "schedules"
CONDITIONS_AT_ONCE: Final = 4

T = TypeVar("T")


class Schedules:
    """One for a process. That each occurrence makes one task does not rest on there being only one: what is
    due is read and moved on in one transaction."""

    def __init__(
        self,
        *,
        database: Database,
        holder: str,
        home: Path,
        new_id: Callable[[], str],
        look_seconds: float = 5.0,
        clock: Callable[[Transaction], float] = queue.clock,
        environment: Mapping[str, str] = os.environ,
        isolation: Callable[[], Isolation] = probe,
    ) -> None:
        """`look_seconds` is the longest it sleeps: a clock that is set, or a host that slept, is noticed
        then. `clock` is the database's, which all hosts share. `isolation` says what holds conditions and all
        that they start; it blocks, and is asked when there is the first one."""
        self._database = database
        self._holder = holder
        self._home = home
        self._new_id = new_id
        self._look_seconds = look_seconds
        self._clock = clock
        self._environment = environment
        self._isolation = functools.cache(isolation)
        self._at_once = asyncio.Semaphore(CONDITIONS_AT_ONCE)

    async def keep(self, _duty: Duty | None = None) -> None:
        """Until it is cancelled. Conditions that are being asked then are ended, and asked again by whoever
        comes next."""
        async with self._database.listener(Topic.SCHEDULES) as listener, asyncio.TaskGroup() as group:
            while True:
                checks, seconds = await self.run_once()
                for check in checks:
                    group.create_task(self._ask(check), name=f"condition-{check.schedule.id}")
                await listener.wait(seconds)

    async def run_once(self) -> tuple[list[Check], float]:
        """Deal with what is due now. Answers with the conditions to be asked, and after how many seconds to
        look again."""
        try:
            found, now = await self._database.read(self._look)
            for schedule_id in found.free:
                await self._release(schedule_id)
            fired = [await self._fire(schedule_id) for schedule_id in found.due]
        except DatabaseUnavailable as error:
            log.warning("schedules.delayed", error=str(error))
            return [], self._look_seconds
        if found.due or found.free:
            return [check for check in fired if check is not None], 0.0
        ahead = self._look_seconds if found.next_at is None else max(found.next_at - now, 0.0)
        return [], min(ahead, self._look_seconds)

    def _look(self, tx: Transaction) -> tuple[Look, float]:
        now = self._clock(tx)
        return firing.look(tx, now=now), now

    async def _fire(self, schedule_id: str) -> Check | None:
        def fire(tx: Transaction) -> Check | None:
            return firing.fire(
                tx,
                schedule_id,
                now=self._clock(tx),
                occurrences=following,
                new_id=self._new_id,
                holder=self._holder,
            )

        return await self._by_itself(schedule_id, fire)

    async def _release(self, schedule_id: str) -> None:
        def release(tx: Transaction) -> None:
            firing.release(tx, schedule_id, now=self._clock(tx), new_id=self._new_id)

        await self._by_itself(schedule_id, release)

    async def _by_itself(self, schedule_id: str, work: Callable[[Transaction], T]) -> T | None:
        """One that cannot be carried out is paused and does not keep the others waiting.
        Raises DatabaseUnavailable."""
        try:
            return await self._database.run(work)
        except DatabaseUnavailable:
            raise
        except OrchestratorError as error:
            await self._give_up(schedule_id, str(error))
        except Exception as error:
            log.exception("schedule.fault", schedule_id=schedule_id)
            await self._give_up(schedule_id, f"A fault of ours ({error!r}); the log has the details.")
        return None

    async def _ask(self, check: Check) -> None:
        asked = since_boot()
        async with self._at_once:
            if since_boot() - asked > CHECK_MARGIN / 2:
                return  # the right would run out before the answer; asked again then
            try:
                await self._carry_out(check, await self._verdict(check))
            except DatabaseUnavailable as error:
                log.warning("schedules.delayed", error=str(error))  # asked again when the right runs out
            except OrchestratorError as error:
                await self._give_up(check.schedule.id, str(error))

    async def _verdict(self, check: Check) -> Verdict:
        schedule = check.schedule
        project = await self._database.read(projects.get, schedule.project_id)
        try:
            isolation = await asyncio.to_thread(self._isolation)
            parent = self._environment
            verdict = await ask(check, project, home=self._home, parent=parent, isolation=isolation)
        except OSError as error:
            verdict = Verdict(run=False, message=f"the condition could not be asked: {error}")
        log.info("schedule.asked", schedule_id=schedule.id, run=verdict.run, message=verdict.message)
        return verdict

    async def _carry_out(self, check: Check, verdict: Verdict) -> None:
        def fire(tx: Transaction) -> bool:
            return firing.fire_checked(
                tx, check, verdict, now=self._clock(tx), occurrences=following, new_id=self._new_id
            )

        if not await self._database.run(fire):
            log.info("schedule.answer_dropped", schedule_id=check.schedule.id)

    async def _give_up(self, schedule_id: str, message: str) -> None:
        """Pause it, or it would fail again at once and for ever."""

        def fail(tx: Transaction) -> None:
            firing.fail(tx, schedule_id, message, now=self._clock(tx))

        log.error("schedule.paused", schedule_id=schedule_id, error=message)
        await self._database.run(fail)
