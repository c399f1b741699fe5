"""The command that says why a task waits, or what it ran under."""

from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.commands.encoding import OPTIONAL
from orchestrator.commands.everywhere import over_all_hosts, with_slots
from orchestrator.commands.tasks import NamedTask, known_task
from orchestrator.commands.use import Use
from orchestrator.commands.waiting import Facts, Reason, reasons
from orchestrator.domain.attempt import Attempt
from orchestrator.domain.cascade import Refusal, Resolution
from orchestrator.domain.confinement import resolve_for
from orchestrator.domain.effective import as_json
from orchestrator.domain.project import Project
from orchestrator.domain.task import Task, TaskState
from orchestrator.store import attempts, profiles, projects, schedules, spending, tasks, workers
from orchestrator.store.database import Transaction
from orchestrator.store.load import DAY

Resolved = Resolution | Refusal


@dataclass(frozen=True, kw_only=True, slots=True)
class Under:
    """A profile as it holds for the task: the last attempt's, or what the next one would have."""

    attempt: int | None
    """Number of the attempt that ran under it; null for what would hold now."""
    profile_id: str
    tier: str
    effective: Any
    """Every field with its value and its origin, as `show_effective_profile` prints it."""
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    rehearsal: bool = False
    enforcement: Any = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeBy:
    """The schedule that made the task."""

    schedule_id: str
    name: str | None
    """Null when the schedule is there no more."""
    scheduled_for: float | None
    """Which occurrence, in Unix seconds; null when a person made the schedule run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    task_id: str
    state: TaskState
    summary: str
    """The first reason, in a sentence."""
    reasons: tuple[Reason, ...]
    ran_under: Under | None
    would_run_under: Under | None
    """Null when the task has ended, runs, or its profile is refused: then `refusal` says why."""
    refusal: Reason | None
    made_by: MadeBy | None = field(default=None, metadata=OPTIONAL)


async def explain_task(use: Use, request: NamedTask) -> Explanation:
    """Say why a task waits, or what it ran under: profile, tier, and where each value comes from."""
    now = use.clock()

    def read(tx: Transaction) -> tuple[Facts, Attempt | None, Resolved, MadeBy | None]:
        task = known_task(tx, request.task_id, caller=use.caller)
        tried = attempts.of_task(tx, task.id)
        catalog = profiles.catalog_for(tx, task, defaults=use.defaults, ceiling=use.ceiling)
        resolved = resolve_for(task, catalog, caller=attempts.caller_of(tx, task))
        refused = _refused(tx, task, resolved, now)
        facts = replace(_facts(tx, task, now), refused=refused)
        facts = over_all_hosts(tx, facts, catalog, now)
        return facts, tried[-1] if tried else None, resolved, _made_by(tx, task)

    facts, attempt, resolved, made_by = await use.database.read(read)
    would, refusal = _preview(facts.task, resolved)
    found = reasons(facts, now=now)
    if refusal is not None and refusal.code not in {reason.code for reason in found}:
        found = (refusal, *found)
    return Explanation(
        task_id=facts.task.id,
        state=facts.task.state,
        summary=found[0].message if found else f"The task is {facts.task.state}.",
        reasons=found,
        ran_under=_ran_under(attempt),
        would_run_under=would,
        refusal=refusal,
        made_by=made_by,
    )


def _made_by(tx: Transaction, task: Task) -> MadeBy | None:
    if task.schedule_id is None:
        return None
    schedule = schedules.get(tx, task.schedule_id)
    return MadeBy(
        schedule_id=task.schedule_id,
        name=None if schedule is None else schedule.name,
        scheduled_for=task.scheduled_for,
    )


def _facts(tx: Transaction, task: Task, now: float) -> Facts:
    project = projects.get(tx, task.project_id) or Project(
        id=task.project_id, name=task.project_id, created_at=now, updated_at=now
    )
    alive = workers.alive(tx, now=now)
    fit = [one for one in alive if one.carries({*task.requires, *project.requires})]
    spent = spending.of_project(tx, task.project_id, since=now - now % DAY)
    facts = Facts(
        task=task,
        project=project,
        unmet=tuple(tasks.unmet_dependencies(tx, task.id)),
        ahead=tasks.count_ahead(tx, task),
        running=tasks.count_claimed(tx, project_id=task.project_id),
        spent_usd=spent.usd,
        spent_tokens=spent.tokens,
        fleet=tuple(frozenset(one.labels) for one in alive),
        workers=len(alive),
    )
    return with_slots(tx, facts, fit)


def _refused(tx: Transaction, task: Task, resolved: Resolved, now: float) -> Task | None:
    """A task of the same agent whose credentials were refused. A worker leaves the others alone until then,
    which is kept with none of them."""
    other = tasks.held_longest(tx, "authentication", now=now)
    if other is None or other.id == task.id or task.state is not TaskState.READY:
        return None
    tried = attempts.of_task(tx, other.id)
    under = tried[-1].snapshot if tried else None
    if under is None or isinstance(resolved, Refusal):
        return None
    return other if under.effective["harness"]["value"] == resolved.effective.harness else None


def _preview(task: Task, resolved: Resolved) -> tuple[Under | None, Reason | None]:
    """What the next attempt would run under, or why it would be refused."""
    if task.state not in (TaskState.DEFINED, TaskState.READY, TaskState.PAUSED, TaskState.BLOCKED):
        return None, None
    if isinstance(resolved, Refusal):
        return None, Reason(code=resolved.reason, message=resolved.message, needs_person=True)
    under = Under(
        attempt=None,
        profile_id=resolved.profile_id,
        tier=resolved.tier,
        effective=as_json(resolved.effective),
        warnings=resolved.warnings,
    )
    return under, None


def _ran_under(attempt: Attempt | None) -> Under | None:
    if attempt is None or attempt.snapshot is None:
        return None
    kept = attempt.snapshot
    return Under(
        attempt=attempt.number,
        profile_id=kept.profile_id,
        tier=kept.tier,
        effective=kept.effective,
        warnings=kept.warnings,
        rehearsal=kept.rehearsal,
        enforcement=attempt.enforcement,
    )
