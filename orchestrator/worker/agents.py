"""What an attempt needs of the world: facts, a place to work, an agent to work there."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import structlog

from orchestrator.domain.attempt import AgentMessage, Attempt, Snapshot, Usage
from orchestrator.domain.budget import Budget, stopped_by
from orchestrator.domain.cascade import Resolution
from orchestrator.domain.catalog import Catalog, Ceiling
from orchestrator.domain.context import TaskContext
from orchestrator.domain.effective import as_json
from orchestrator.domain.ending import Ending
from orchestrator.domain.errors import DatabaseUnavailable, NotFound
from orchestrator.domain.event import Event
from orchestrator.domain.lack import OF_A_HOST
from orchestrator.domain.mcp import McpServer
from orchestrator.domain.outcome import (
    ApiFailed,
    Asked,
    BudgetSpent,
    Completed,
    Crashed,
    Held,
    Hung,
    Interrupted,
    Killed,
    NotHere,
    Outcome,
    Overloaded,
    RateLimited,
)
from orchestrator.domain.profile import EffectiveProfile
from orchestrator.domain.project import Project
from orchestrator.domain.question import Question
from orchestrator.domain.secret import Mask, needed, references
from orchestrator.domain.selection import Selection, select_servers, without_optional
from orchestrator.domain.settle import settle
from orchestrator.domain.task import Claim, Task
from orchestrator.domain.tools import EMBEDDED_SERVER
from orchestrator.harness.claude.config import CREDENTIALS, ClaudeAdapterConfig
from orchestrator.harness.claude.report import Report
from orchestrator.harness.platform import PlatformRegistry
from orchestrator.harness.process import end_leftovers
from orchestrator.harness.process.leftovers import attempts_alive
from orchestrator.store import (
    attempts,
    budgets,
    callers,
    events,
    profiles,
    projects,
    questions,
    queue,
)
from orchestrator.store.database import Database, Transaction
from orchestrator.store.rescue import LOST
from orchestrator.worker.checkouts import CheckoutMissing, Checkouts, hosts_told, where_to_have_it
from orchestrator.worker.config import WorkerConfig
from orchestrator.worker.elsewhere import Elsewhere
from orchestrator.worker.embedded import Address, Pass, pass_for
from orchestrator.worker.lacking import Lacking
from orchestrator.worker.leash import Leash
from orchestrator.worker.prompt import task_context
from orchestrator.worker.providers import Providers
from orchestrator.worker.recorder import RETRY_SECONDS, recording
from orchestrator.worker.sessions import Sessions

log = structlog.get_logger()

GIVES_WAY: Final = (ApiFailed, Completed, Crashed, Hung, Interrupted, Killed, Overloaded, RateLimited)
"""Outcomes that a question is put before: with its answer the session goes on in any case."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """Everything an attempt needs from the database, read at one moment."""

    catalog: Catalog
    project: Project
    earlier: tuple[Attempt, ...]
    questions: tuple[Question, ...] = ()
    budgets: tuple[Budget, ...] = ()
    caller: Attempt | None = None
    """The attempt whose agent asked for the task, when one did."""


class Agents:
    """Reads, prepares, launches and listens for the attempts of a worker. One for the whole worker."""

    def __init__(
        self,
        *,
        worker: str,
        config: WorkerConfig,
        database: Database,
        registry: PlatformRegistry,
        providers: Providers,
        secrets: Mapping[str, str],
        ceiling: Ceiling,
        address: Address | None,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._config = config
        self._database = database
        self._registry = registry
        self._providers = providers
        self._secrets = secrets
        self._ceiling = ceiling
        self._address = address
        self._clock = clock
        self._random = random
        self.lacking = Lacking(secrets)
        self.elsewhere = Elsewhere(
            worker=worker,
            host=config.host,
            lacking=self.lacking,
            recheck_seconds=config.recheck_seconds,
        )
        self._checkouts = Checkouts(config.home, host=config.host)
        self._sessions = Sessions(config.home)

    def ending(self, claim: Claim, outcome: Outcome, *, report: Report | None = None) -> Ending:
        """What an outcome means for the task, with what the agent used and how it was held to its profile."""
        session = report.session_id if report and report.transcript else None
        task = replace(claim.task, session_id=session) if report else claim.task
        settlement = settle(
            task,
            outcome,
            now=self._clock(),
            jitter=self._random(),
            answer_seconds=self._config.answer_seconds,
        )
        return Ending(
            claim=claim,
            settlement=settlement,
            usage=report.usage if report else Usage(),
            enforcement=report.enforcement if report else {},
            session_id=report.session_id if report else None,
            warnings=report.warnings if report else (),
        )

    def reported(
        self, claim: Claim, effective: EffectiveProfile, budgets: Sequence[Budget], report: Report
    ) -> Ending:
        """`ending` for an agent that ran; what it heard from its provider concerns other tasks too. One that
        was stopped by what was left of a day's budget goes on another day."""
        outcome = report.outcome
        if isinstance(outcome, BudgetSpent):
            stopped = stopped_by(effective, budgets, unit=outcome.unit)
            outcome = outcome if stopped is None else without_budget(stopped)
        ending = self.ending(claim, outcome, report=report)
        self._providers.heard(effective.harness, outcome, ending.settlement)
        return ending

    async def held(self, claim: Claim, project: Project, held: Held) -> Ending:
        """`ending` for what may be so on this host alone: it is left to another, where there is one."""
        if held.reason not in OF_A_HOST:
            return self.ending(claim, held)
        others = await self._database.read(self.elsewhere.others, claim.task, project)
        if not others:
            return self.ending(claim, held)
        self.elsewhere.note(held, claim.task, project, now=self._clock())
        left = f"{held.message} It is left to the other hosts: {hosts_told(others)}."
        return self.ending(claim, NotHere(message=left))

    async def facts(self, task: Task) -> Known:
        """Raises NotFound when the project was removed."""
        return await self._database.read(self._gather, task)

    async def know_credentials(self) -> None:
        """See which credentials there are, before the first attempt is given them."""
        secrets = await asyncio.to_thread(needed, (), self._secrets, CREDENTIALS)
        for harness in self._registry.harnesses:
            self._providers.know(harness, secrets)

    async def launchable(
        self, effective: EffectiveProfile, catalog: Catalog
    ) -> tuple[Selection, Mapping[str, str]]:
        """The servers to start, and the secrets that they and the agent are given. What is `missing` is
        required, and so is every secret that is. Raises OSError."""
        selection = select_servers(effective.mcp_servers, catalog)
        secrets = await asyncio.to_thread(needed, selection.servers, self._secrets, CREDENTIALS)
        self._providers.know(effective.harness, {n: v for n, v in secrets.items() if n in CREDENTIALS})
        selection = without_optional(selection, effective.optional_servers, secrets)
        self.lacking.note(
            name for one in selection.servers for name in references(one) if name not in secrets
        )
        return selection, secrets

    async def pass_for(self, effective: EffectiveProfile) -> Pass | None:
        """What the attempt needs to call tools of ours, if it has any. Raises ConfigurationError."""
        return await pass_for(effective, self._address)

    async def left_over(self, task: Task, earlier: Sequence[Attempt]) -> bool:
        """Whether anything of an attempt that was lost is still running on this host; it is ended if it can
        be. Its worker may be the one that nobody heard of, while others took the task back."""
        names = [f"{task.id}/{one.number}" for one in earlier if one.outcome == LOST]
        if not names or not await asyncio.to_thread(attempts_alive, names):
            return False
        await asyncio.to_thread(end_leftovers, [], names)
        return bool(await asyncio.to_thread(attempts_alive, names))

    @asynccontextmanager
    async def place(
        self,
        task: Task,
        known: Known,
        effective: EffectiveProfile,
        servers: Sequence[McpServer],
        secrets: Mapping[str, str],
        admission: Pass | None = None,
    ) -> AsyncIterator[TaskContext]:
        """A checkout and a session made ready, as the agent is told of them.
        Raises CheckoutBusy, CheckoutUnusable and OSError."""
        async with AsyncExitStack() as stack:
            try:
                checkout = await stack.enter_async_context(self._checkouts.prepared(known.project, task))
            except CheckoutMissing as error:
                others = await self._database.read(self.elsewhere.others, task, known.project)
                advice = where_to_have_it(known.project.id, others)
                raise CheckoutMissing(f"{error} {advice}") from error
            session = await self._sessions.prepare(task)
            yield task_context(
                task,
                effective,
                servers=(*servers, admission.server) if admission else servers,
                checkout=str(checkout),
                attempt_directory=session.directory,
                session_id=session.session_id,
                resume_transcript=session.transcript,
                earlier=known.earlier,
                secrets={**secrets, **admission.secrets} if admission else secrets,
                questions=known.questions,
            )

    def _gather(self, tx: Transaction, task: Task) -> Known:
        project = projects.get(tx, task.project_id)
        if project is None:
            raise NotFound(f"project {task.project_id} not found")
        return Known(
            catalog=profiles.catalog_for(tx, task, defaults=self._registry.defaults, ceiling=self._ceiling),
            project=project,
            earlier=tuple(one for one in attempts.of_task(tx, task.id) if one.number < task.attempt),
            questions=tuple(questions.of_task(tx, task.id)),
            budgets=budgets.of_task(tx, task, project, now=queue.clock(tx)),
            caller=attempts.caller_of(tx, task),
        )

    async def begin(
        self,
        claim: Claim,
        snapshot: Snapshot,
        resolution: Resolution,
        admission: Pass | None = None,
        session_id: str | None = None,
    ) -> None:
        """Fix what the attempt runs under, before anything is started. Raises LeaseLost."""
        applied = {
            "profile": snapshot.profile_id,
            "tier": snapshot.tier,
            "tools": list(resolution.effective.allowed_tools),
            "mcp_servers": list(snapshot.servers),
        }
        for skipped in resolution.fallback:
            log.warning("attempt.profile_fallback", profile=skipped.profile_id, reason=skipped.reason)
        digest = admission.digest if admission else None
        await self._database.run(
            _begin, claim, snapshot, resolution, applied, digest, session_id=session_id, now=self._clock()
        )
        log.info("profile.applied", **applied)

    async def converse(
        self, claim: Claim, config: ClaudeAdapterConfig, context: TaskContext, leash: Leash
    ) -> Report:
        """Let the agent work, storing what it says; a wish of the outside reaches it at any time. Of what is
        stored and reported, the secrets that the attempt was given are no part."""
        shown = {**context.secrets} if not config.rehearsal else _without(context.secrets, config.credentials)
        mask = Mask(shown.values())

        async def store(messages: Sequence[AgentMessage], again: bool) -> None:
            await self._database.run(attempts.append_messages, claim, messages, again=again)

        adapter = self._registry.adapter_for(config.effective.harness)
        batches = {"seconds": self._config.batch_seconds, "most": self._config.batch_messages}
        async with (
            recording(store, seconds=batches["seconds"], most=int(batches["most"])) as recorder,
            adapter.start(config, context) as run,
            leash.held_by(run.interrupt),
        ):
            async for message in run:
                await recorder.take(mask.value(message))
        report = mask.value(run.report)
        may_ask = any(server.name == EMBEDDED_SERVER for server in context.mcp_servers)
        return await self._as_asked(claim, report) if may_ask else report

    async def _as_asked(self, claim: Claim, report: Report) -> Report:
        """An agent that asked a person has not ended otherwise, even where it was quicker than we."""
        if not isinstance(report.outcome, GIVES_WAY):
            return report
        while True:
            try:
                asked = await self._database.read(questions.get, claim.task.id, claim.attempt)
            except DatabaseUnavailable as error:
                log.warning("question.delayed", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            return replace(report, outcome=Asked(question=asked.question)) if asked else report


def without_budget(spent: Budget) -> Outcome:
    """What becomes of an attempt for which nothing is left: a task's own budget is raised by a person, a
    day's comes back with the next day."""
    if spent.of == "task":
        return BudgetSpent(message=f"{spent.sentence} Raise its budget (`orchestrator task edit`).")
    return Held(reason=spent.of, message=f"{spent.sentence} It goes on the next day (UTC).")


def _without(secrets: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """A rehearsal's credentials are words that stand for none."""
    return {name: value for name, value in secrets.items() if name not in names}


def _begin(
    tx: Transaction,
    claim: Claim,
    snapshot: Snapshot,
    resolution: Resolution,
    applied: Mapping[str, object],
    digest: str | None,
    *,
    session_id: str | None,
    now: float,
) -> None:
    attempts.begin(tx, claim, snapshot, now=now, session_id=session_id)
    if digest is not None:
        callers.issue(tx, claim, digest=digest, now=now)
    fallbacks = [
        {
            "profile": skipped.profile_id,
            "tier": skipped.tier,
            "reason": skipped.reason,
            "message": skipped.message,
            "used": resolution.profile_id,
        }
        for skipped in resolution.fallback
    ]
    facts = [("attempt.profile_fallback", data) for data in fallbacks] + [("profile.applied", dict(applied))]
    task = claim.task
    events.append(
        tx,
        *(
            Event(
                kind=kind,
                subject=f"task/{task.id}/attempt/{claim.attempt}",
                at=now,
                data={"attempt": claim.attempt, **data},
                project_id=task.project_id,
                task_id=task.id,
            )
            for kind, data in facts
        ),
    )


def snapshot_of(
    resolution: Resolution,
    config: ClaudeAdapterConfig,
    context: TaskContext,
    warnings: Sequence[str],
) -> Snapshot:
    return Snapshot(
        profile_id=resolution.profile_id,
        tier=resolution.tier,
        effective=as_json(config.effective),
        servers=tuple(server.name for server in context.mcp_servers),
        warnings=(*resolution.warnings, *warnings),
        rehearsal=config.rehearsal,
        checkout=context.checkout,
    )
