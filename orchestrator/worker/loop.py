"""The worker: takes tasks, runs them, records how they ended, until it is asked to stop."""

import asyncio
import contextlib
import os
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog

from orchestrator import __version__
from orchestrator.domain.budget import within
from orchestrator.domain.cascade import Refusal
from orchestrator.domain.catalog import Ceiling
from orchestrator.domain.confinement import resolve_for
from orchestrator.domain.ending import Ending
from orchestrator.domain.errors import DatabaseUnavailable, LeaseLost, StartRefused
from orchestrator.domain.lack import CHECKOUT_UNUSABLE, PROCESS_LEFT
from orchestrator.domain.outcome import Held, Interrupted, NotStarted, WorkerFault
from orchestrator.domain.task import Claim
from orchestrator.harness.platform import PlatformRegistry
from orchestrator.store import workers
from orchestrator.store.database import Database
from orchestrator.store.wake import Listener
from orchestrator.store.workers import Worker as Row
from orchestrator.worker.agents import Agents, snapshot_of, without_budget
from orchestrator.worker.basis import Counsel, Order, Turned
from orchestrator.worker.checkouts import CheckoutBusy, CheckoutUnusable
from orchestrator.worker.clock import Clock, since_boot
from orchestrator.worker.config import WorkerConfig
from orchestrator.worker.embedded import Address
from orchestrator.worker.heart import Heart
from orchestrator.worker.lacking import unstartable
from orchestrator.worker.leash import Leash
from orchestrator.worker.ledger import Ledger
from orchestrator.worker.left_behind import LeftBehind
from orchestrator.worker.providers import Providers
from orchestrator.worker.recently import Recently
from orchestrator.worker.refused import record_one_by_one
from orchestrator.worker.rescue import Rescue, details
from orchestrator.worker.running import Attempting, Attempts
from orchestrator.worker.standing import Standing
from orchestrator.worker.stop import Stop
from orchestrator.worker.turns import Turns
from orchestrator.worker.unanswered import end_unanswered
from orchestrator.worker.verdicts import Verdicts

log = structlog.get_logger()

Execute = Callable[[Claim, Leash], Awaitable[Ending]]
"""Carries out a claim. Raises LeaseLost when it finds that the task is another's."""

AWAY = "The database could not be reached when the attempt began; the task goes on later."

RETRY_SECONDS = 0.5
"""While a worker that drains cannot record its last attempts."""


class Worker:
    """One for a process. Everything it starts ends with `run`."""

    def __init__(
        self,
        *,
        config: WorkerConfig,
        database: Database,
        registry: PlatformRegistry,
        secrets: Mapping[str, str] | None = None,
        ceiling: Ceiling | None = None,
        address: Address | None = None,
        execute: Execute | None = None,
        clock: Callable[[], float] = time.time,
        since_boot: Callable[[], float] = since_boot,
        random: Callable[[], float] = random.random,
    ) -> None:
        """`address` is where agents reach our own MCP server, if they do; `execute` replaces running them."""
        self.id = f"{config.name}-{uuid.uuid4().hex[:12]}"
        self._config = config
        self._database = database
        self._registry = registry
        self._clock = Clock(clock, since_boot)
        self._since_boot = since_boot
        self._providers = Providers()
        self._agents = Agents(
            worker=self.id,
            config=config,
            database=database,
            registry=registry,
            providers=self._providers,
            secrets={} if secrets is None else secrets,  # none listed now is not none ever
            ceiling=ceiling or Ceiling(),
            address=address,
            clock=self._clock,
            random=random,
        )
        self._turns = Turns(database, _counsel(registry, ceiling or Ceiling(), self._agents))
        self._execute = execute or self._execute_task
        self._running = Attempts(config.slots)
        self._recently = Recently(database, config.window_seconds, self._clock)
        row = self._row()
        self._heart = Heart(
            row=row, config=config, database=database, running=self._running, since_boot=since_boot
        )
        self._rescue = self._rescuing(row, jitter=random)
        self._listener = Listener()
        self._group: asyncio.TaskGroup | None = None
        self._stopping = False
        self._away = False
        self._rung = False
        """Whether something changed while nothing was at work, and no turn has come to anything since."""
        self._due_at: float | None = None

    async def run(self, stop: Stop) -> None:
        """Work until `stop`: once set, nothing new is taken, and what runs gets `drain_seconds` before it is
        interrupted and put off; set twice, it is ended now. A person may set it from afar too.
        Raises what the database cannot recover from."""
        self._heart.told_to_drain = stop.drain.set
        async with self._database.listener() as self._listener, self._at_work():
            ringing = asyncio.create_task(_ring_when_set(stop, self._listener))
            try:
                while not stop.drain.is_set():
                    if await self.run_once():
                        self._rung = False
                    else:
                        await self._wait()
                await self._drain(stop)
            finally:
                ringing.cancel()
        log.info("worker.stopped", worker=self.id)

    async def run_once(self) -> int:
        """One turn: record what has ended, take what fits and start it. Returns how much it was."""
        busy = self._running.any_finished
        if not busy and (not self._running.free or self._stopping):
            return 0
        endings = self._running.take_finished()
        self._heart.turn_begins()
        try:
            order = await self._order(endings)
            turned = await self._turns.take(order, self._listener)
        except DatabaseUnavailable as error:
            self._away = True
            self._running.give_back(endings)
            log.warning("worker.delayed", error=str(error), unrecorded=len(endings))
            return 0
        except Exception:  # whatever it is, agents are at work: they go on, and the next turn may fare better
            log.exception("turn.failed", unrecorded=len(endings))
            fault = self._agents.ending
            left = await record_one_by_one(self._database, endings, worker=self.id, fault=fault)
            self._running.give_back(left)
            return len(endings) - len(left)
        except BaseException:
            self._running.give_back(endings)
            raise
        self._away = False
        self._heart.turn_ends()
        self._clock.learn(turned.at)
        self._providers.stored(order.heard, turned.backoffs)
        self._take_in(turned, endings)
        if turned.claims:
            await asyncio.sleep(0)  # they begin before the next turn does
        await self._keep_up()
        return len(turned.recorded) + len(turned.claims) + turned.held

    async def _keep_up(self) -> None:
        """Between two turns, when nothing waits for it."""
        with contextlib.suppress(DatabaseUnavailable):  # what is known will do
            await self._recently.refresh()

    @asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        """Everything that goes on beside the loop, begun and ended in one place."""
        await self._agents.know_credentials()
        self._clock.learn(await self._rescue.arrive())
        await self._keep_up()
        log.info("worker.started", worker=self.id, slots=self._config.slots)
        try:
            async with asyncio.TaskGroup() as self._group:
                beside = [
                    self._group.create_task(self._heart.keep_beating(), name="heartbeat"),
                    self._group.create_task(self._keep_rescuing(), name="rescue"),
                ]
                yield
                for task in beside:
                    task.cancel()
        finally:
            with contextlib.suppress(DatabaseUnavailable):
                await self._database.run(workers.leave, self.id)

    async def _order(self, endings: tuple[Ending, ...]) -> Order:
        now = self._clock()
        lacks = await self._agents.elsewhere.tell(self._database, now=now)
        return Order(
            worker=self.id,
            slots=() if self._stopping else self._running.free,
            endings=endings,
            lease_seconds=self._config.lease_seconds,
            recheck_seconds=self._config.recheck_seconds,
            per_project=self._config.per_project,
            labels=frozenset(self._config.labels),
            host=self._config.host,
            recent=self._recently.by_project,
            harnesses=frozenset(self._registry.harnesses),
            backoffs=self._providers.now(now),
            providers=dict(self._providers.named),
            heard=dict(self._providers.pending),
            keeping=not lacks,
        )

    def _take_in(self, turned: Turned, endings: tuple[Ending, ...]) -> None:
        self._recently.add(turned.recorded, at=turned.at, lease_seconds=self._config.lease_seconds)
        if len(turned.recorded) < len(endings):
            log.warning("lease.lost", dropped=len(endings) - len(turned.recorded))
        self._due_at = turned.due
        for claim, slot in turned.claims:
            assert self._group is not None
            attempting = self._running.start(claim, slot)
            attempting.body = self._group.create_task(self._attempt(attempting))

    async def _attempt(self, attempting: Attempting) -> None:
        """The crash boundary: whatever happens in here becomes an outcome of this one attempt."""
        claim, leash = attempting.claim, attempting.leash
        ending: Ending | None = None
        try:
            ending = await self._execute(claim, leash)
        except asyncio.CancelledError:
            if leash.wanted is not None and not leash.lost:
                ending = self._agents.ending(claim, leash.wanted)
            elif not leash.lost:
                raise
        except LeaseLost:
            log.warning("lease.lost", task_id=claim.task.id, attempt=claim.attempt)
        except DatabaseUnavailable as error:  # not the task's fault: it is taken up when the database is back
            log.warning("attempt.put_off", task_id=claim.task.id, attempt=claim.attempt, error=str(error))
            ending = self._agents.ending(claim, Interrupted(message=AWAY))
        except Exception as error:
            log.exception("attempt.fault", task_id=claim.task.id, attempt=claim.attempt)
            ending = self._agents.ending(claim, WorkerFault(message=_fault(error)))
        finally:
            self._running.finish(attempting, None if leash.lost else ending)
            self._listener.ring()

    async def _execute_task(self, claim: Claim, leash: Leash) -> Ending:
        """Run the agent under exactly the profile that holds now, and say how it ended.

        Raises LeaseLost when the task is another's by then, and whatever is a fault of ours.
        """
        task, agents = claim.task, self._agents
        with structlog.contextvars.bound_contextvars(
            task_id=task.id, attempt=claim.attempt, project_id=task.project_id
        ):
            known = await agents.facts(task)
            resolution = resolve_for(task, known.catalog, caller=known.caller)
            if isinstance(resolution, Refusal):
                return agents.ending(claim, Held(reason=resolution.reason, message=resolution.message))
            if (spent := next((one for one in known.budgets if one.is_spent), None)) is not None:
                return agents.ending(claim, without_budget(spent))
            effective = within(resolution.effective, known.budgets)
            resolution = replace(resolution, effective=effective)
            selection, secrets = await agents.launchable(effective, known.catalog)
            held = unstartable(resolution.profile_id, selection.missing, selection.servers, secrets)
            if held is not None:
                return await agents.held(claim, known.project, held)
            if await agents.left_over(task, known.earlier):
                message = "Processes of an earlier attempt are still there; see `ps` on this host."
                return await agents.held(claim, known.project, Held(reason=PROCESS_LEFT, message=message))
            try:
                config = self._registry.config_for(effective)
                admission = await agents.pass_for(effective)
                ready = agents.place(task, known, effective, selection.servers, secrets, admission)
                async with ready as context:
                    snapshot = snapshot_of(resolution, config, context, selection.warnings)
                    await agents.begin(claim, snapshot, resolution, admission, context.session_id)
                    report = await agents.converse(claim, config, context, leash)
            except StartRefused as error:
                return agents.ending(claim, NotStarted(message=str(error)))
            except CheckoutBusy as error:
                return agents.ending(claim, Held(reason="checkout_busy", message=str(error)))
            except CheckoutUnusable as error:
                held = Held(reason=CHECKOUT_UNUSABLE, message=str(error))
                return await agents.held(claim, known.project, held)
            return agents.reported(claim, effective, known.budgets, report)

    async def _wait(self) -> None:
        """Until something changed, an attempt has ended, or something is due that there is a slot for; at
        most `poll_seconds`."""
        if self._rung:
            self._rung = False
            self._heart.look()  # nothing to take: what has changed may be that this worker is to drain
        now = self._clock()
        due = (self._due_at, self._providers.next_end) if self._running.free else ()
        moments = [at for at in due if at is not None]
        seconds = min([self._config.poll_seconds, *(max(at - now, 0.01) for at in moments)])
        changed = await self._listener.wait(seconds)
        if changed and not self._running.any_finished:
            if self._running.any_at_work:
                self._heart.look()
            else:
                self._rung = True

    async def _drain(self, stop: Stop) -> None:
        """Let attempts finish for a while, then interrupt them; when told again, end them."""
        self._stopping = self._heart.draining = True
        deadline = asyncio.get_running_loop().time() + self._config.drain_seconds
        log.info("worker.draining", worker=self.id, seconds=self._config.drain_seconds)
        while self._running.any_at_work or self._running.any_finished:
            recorded = await self.run_once()
            left = deadline - asyncio.get_running_loop().time()
            if stop.now.is_set():
                self._running.end_all(Interrupted())
            elif left <= 0:
                self._running.ask_all(Interrupted())
            if self._running.any_finished:
                if stop.now.is_set() and self._away:
                    break  # the leases run out, and others take over
                await asyncio.sleep(0 if recorded else RETRY_SECONDS)
            elif self._running.any_at_work:
                await self._listener.wait(min(left, 1.0) if left > 0 else 1.0)

    async def _keep_rescuing(self) -> None:
        while True:
            begun = self._since_boot()
            await asyncio.sleep(self._config.lease_seconds / 3)
            if self._since_boot() - begun > self._config.lease_seconds * 2 / 3:
                # We were suspended, or stopped. Leases ran out that nobody on this host could extend, ours
                # among them: there is time to do so now, and what is not extended is taken back after it.
                self._heart.look()
                await asyncio.sleep(self._config.heartbeat_seconds)
                continue
            try:
                await self._rescue.expired()
                await end_unanswered(self._database)
            except DatabaseUnavailable as error:
                log.warning("rescue.delayed", error=str(error))
            except Exception:  # one task that cannot be taken back must not end what runs here
                log.exception("rescue.failed")

    def _rescuing(self, row: Row, jitter: Callable[[], float]) -> Rescue:
        clean_up = self._registry.adapter.clean_up
        return Rescue(
            row=row,
            database=self._database,
            left_behind=LeftBehind(home=self._config.home, database=self._database, clean_up=clean_up),
            max_losses=self._config.max_losses,
            jitter=jitter,
        )

    def _row(self) -> Row:
        return Row(
            id=self.id,
            host=self._config.host,
            pid=os.getpid(),
            version=__version__,
            slots=self._config.slots,
            labels=self._config.labels,
            started_at=self._clock(),
            seen_at=self._clock(),
            details=details(),
        )


def _counsel(registry: PlatformRegistry, ceiling: Ceiling, agents: Agents) -> Counsel:
    verdicts = Verdicts(defaults=registry.defaults, ceiling=ceiling, lacking=agents.lacking)
    return Counsel(
        judge=verdicts.judge,
        confined=verdicts.confined,
        rules=Standing().rules,
        spent=Ledger().today,
        elsewhere=agents.elsewhere.passed_over,
    )


def _fault(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be used: {error.strerror}. Make room, or correct the permissions."
    return f"A fault of the worker itself ({error!r}); its log has the details."


async def _ring_when_set(stop: Stop, listener: Listener) -> None:
    await stop.drain.wait()
    listener.ring()
    await stop.now.wait()
    listener.ring()
