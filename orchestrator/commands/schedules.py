"""Commands that change schedules: create, edit, delete, pause, resume, run now."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from orchestrator.commands import checks, ids
from orchestrator.commands import schedule_fields as fields_of
from orchestrator.commands.command import UNCHANGED, Unchanged, changed
from orchestrator.commands.encoding import OPTIONAL
from orchestrator.commands.projects import known_profile, known_project, only_project
from orchestrator.commands.schedule_fields import Occurrence
from orchestrator.commands.use import Use
from orchestrator.domain.errors import AlreadyExists, Conflict, InvalidInput
from orchestrator.domain.project import Project
from orchestrator.domain.schedule import Missed, Overlap, Schedule
from orchestrator.domain.task import Task, TaskState
from orchestrator.store import firing, schedules
from orchestrator.store.database import Transaction

SHOWN = 3
"""Occurrences that the answer to a change shows."""
COPIED: Final = (
    *("timezone", "end_at", "jitter_seconds", "missed", "missed_limit", "grace_seconds", "overlap"),
    *("condition", "condition_seconds", "enabled", "profile_id"),
)
"""Fields of a schedule that a request gives as they are."""
EDITED: Final = ("name", "start_at", *(name for name in COPIED if name != "enabled"))
WHOLE_SECONDS = {"wrong": "interval must be whole seconds, at least 1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateSchedule:
    """One of `cron`, `interval` and `once` says when; the rest what each occurrence asks for."""

    id: str
    project_id: str | None = None
    """Absent: the only project there is."""
    name: str | None = None
    """Absent: the id."""
    cron: str | None = None
    """Five fields: minute, hour, day of the month, month, weekday; or `@daily` and the like."""
    interval: float | None = field(default=None, metadata=WHOLE_SECONDS)
    """Seconds from one occurrence to the next, counted from `start_at`."""
    once: str | None = None
    """A time in ISO 8601, of the time zone where it has no offset."""
    timezone: str = "UTC"
    start_at: float | None = None
    """No occurrence before it; absent, an interval is counted from now."""
    end_at: float | None = None
    jitter_seconds: float = 0.0
    missed: Missed = Missed.ONCE
    missed_limit: int = 100
    grace_seconds: float = 60.0
    overlap: Overlap = Overlap.ALLOW
    condition: tuple[str, ...] | None = None
    """A program and its arguments; a due occurrence makes a task when it ends with 0. Never an agent's."""
    condition_seconds: float = 60.0
    enabled: bool = True
    title: str | None = None
    prompt: str | None = None
    profile_id: str | None = None
    priority: int | None = None
    max_attempts: int | None = None
    timeout_seconds: float | None = None
    max_budget_usd: float | None = None
    max_tokens: int | None = None
    labels: Mapping[str, str] | None = None
    requires: tuple[str, ...] | None = None
    """Labels that a worker must have to take the tasks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleCreated:
    created: str
    name: str
    project_id: str
    next_at: float | None
    upcoming: tuple[Occurrence, ...]
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class EditSchedule:
    """What is not mentioned stays; what is being worked on stays as it is, too."""

    schedule_id: str
    name: str | Unchanged = UNCHANGED
    cron: str | None = None
    interval: float | None = field(default=None, metadata=WHOLE_SECONDS)
    once: str | None = None
    timezone: str | Unchanged = UNCHANGED
    start_at: float | Unchanged | None = UNCHANGED
    end_at: float | Unchanged | None = UNCHANGED
    jitter_seconds: float | Unchanged = UNCHANGED
    missed: Missed | Unchanged = UNCHANGED
    missed_limit: int | Unchanged = UNCHANGED
    grace_seconds: float | Unchanged = UNCHANGED
    overlap: Overlap | Unchanged = UNCHANGED
    condition: tuple[str, ...] | Unchanged | None = UNCHANGED
    condition_seconds: float | Unchanged = UNCHANGED
    profile_id: str | Unchanged | None = UNCHANGED
    title: str | Unchanged = UNCHANGED
    prompt: str | Unchanged = UNCHANGED
    priority: int | Unchanged = UNCHANGED
    max_attempts: int | Unchanged = UNCHANGED
    timeout_seconds: float | Unchanged | None = UNCHANGED
    max_budget_usd: float | Unchanged | None = UNCHANGED
    max_tokens: int | Unchanged | None = UNCHANGED
    labels: Mapping[str, str] | Unchanged = UNCHANGED
    requires: tuple[str, ...] | Unchanged = UNCHANGED


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleUpdated:
    updated: str
    fields: tuple[str, ...]
    next_at: float | None
    upcoming: tuple[Occurrence, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedSchedule:
    """A request about one schedule."""

    schedule_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PauseSchedule:
    schedule_id: str
    reason: str | None = None
    """For whoever finds it paused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SchedulePaused:
    schedule_id: str
    enabled: bool
    next_at: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleDeleted:
    deleted: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleRun:
    schedule_id: str
    task_id: str
    state: TaskState


async def create_schedule(use: Use, request: CreateSchedule) -> ScheduleCreated:
    """Add a schedule: cron, interval or once; what is missed, what overlaps, and a condition."""
    now = use.clock()
    wanted = fields_of.check(use, _new(request, now))
    fields_of.must_occur(wanted := fields_of.timed(wanted, now=now))

    def write(tx: Transaction) -> tuple[Schedule, Project]:
        project = only_project(tx) if request.project_id is None else known_project(tx, request.project_id)
        known_profile(tx, wanted.profile_id, "profile_id")
        schedule = replace(wanted, project_id=project.id)
        if schedules.get(tx, schedule.id) is not None:
            raise AlreadyExists(f"schedule {schedule.id} already exists", field="id")
        schedules.create(tx, schedule)
        return schedule, project

    schedule, project = await use.database.run(write)
    return ScheduleCreated(
        created=schedule.id,
        name=schedule.name,
        project_id=project.id,
        next_at=schedule.next_at,
        upcoming=fields_of.upcoming(schedule, SHOWN),
        warnings=(f"project {project.id} is paused: its tasks wait",) if project.paused else (),
    )


async def edit_schedule(use: Use, request: EditSchedule) -> ScheduleUpdated:
    """Change a schedule; new times hold from now on. `condition: null` and `profile_id: null` clear them."""
    changes = changed(**{name: getattr(request, name) for name in EDITED})
    if (recurs := fields_of.expressed(request.cron, request.interval, request.once)) is not None:
        changes["kind"], changes["expression"] = recurs
    task = fields_of.asked_anew(request)
    if not changes and not task:
        raise InvalidInput("No fields to update")
    now = use.clock()

    def write(tx: Transaction) -> Schedule:
        old = known_schedule(tx, request.schedule_id)
        new = replace(old, **changes, task={**old.task, **task}, updated_at=now)
        new = replace(new, start_at=fields_of.beginning(new.kind, new.start_at, now=now))
        new = fields_of.check(use, new)
        if fields_of.TIMED & changes.keys():
            fields_of.must_occur(new := fields_of.timed(new, now=now))
        if "profile_id" in changes:
            known_profile(tx, new.profile_id, "profile_id")
        schedules.update(tx, new, fields=_names(changes, task))
        return new

    schedule = await use.database.run(write)
    return ScheduleUpdated(
        updated=schedule.id,
        fields=tuple(_names(changes, task)),
        next_at=schedule.next_at,
        upcoming=fields_of.upcoming(schedule, SHOWN),
    )


async def delete_schedule(use: Use, request: NamedSchedule) -> ScheduleDeleted:
    """Remove a schedule; the tasks it made go on."""
    now = use.clock()

    def write(tx: Transaction) -> Schedule:
        schedule = known_schedule(tx, request.schedule_id)
        schedules.delete(tx, schedule, now=now)
        return schedule

    schedule = await use.database.run(write)
    return ScheduleDeleted(deleted=schedule.id, name=schedule.name)


async def pause_schedule(use: Use, request: PauseSchedule) -> SchedulePaused:
    """Make no more tasks of a schedule, nor of what is queued; those it made go on."""
    reason = None if request.reason is None else checks.check_title(request.reason, "reason")
    return await _enable(use, request.schedule_id, enabled=False, reason=reason)


async def resume_schedule(use: Use, request: NamedSchedule) -> SchedulePaused:
    """Let a paused schedule go on with its next occurrence; those it was paused for are not missed."""
    return await _enable(use, request.schedule_id, enabled=True, reason=None)


async def run_schedule_now(use: Use, request: NamedSchedule) -> ScheduleRun:
    """Make a task of a schedule at once, whatever its times, overlap and condition say."""
    now = use.clock()
    task_id = ids.new_id(now, use.random())

    def write(tx: Transaction) -> Task:
        schedule = known_schedule(tx, request.schedule_id)
        return firing.run_now(tx, schedule, task_id=task_id, by=use.caller.name, now=now)

    task = await use.database.run(write)
    return ScheduleRun(schedule_id=request.schedule_id, task_id=task.id, state=task.state)


def known_schedule(tx: Transaction, schedule_id: str) -> Schedule:
    """The schedule, of which nothing fires until the transaction ends. Raises NotFound."""
    return schedules.locked(tx, checks.check_id(schedule_id, "schedule_id"))


async def _enable(use: Use, schedule_id: str, *, enabled: bool, reason: str | None) -> SchedulePaused:
    now = use.clock()

    def write(tx: Transaction) -> Schedule:
        old = known_schedule(tx, schedule_id)
        if old.enabled == enabled and old.paused_reason == reason:
            return old
        new = replace(old, enabled=enabled, paused_reason=reason, updated_at=now)
        new = fields_of.timed(new, now=now)
        if enabled and new.next_for is None:
            raise Conflict(f"schedule {old.id} has no occurrence left; give it new times first")
        schedules.update(
            tx,
            new,
            "schedule.resumed" if enabled else "schedule.paused",
            **({} if enabled else {"reason": reason}),
        )
        return new

    schedule = await use.database.run(write)
    return SchedulePaused(schedule_id=schedule.id, enabled=schedule.enabled, next_at=schedule.next_at)


def _new(request: CreateSchedule, now: float) -> Schedule:
    recurs = fields_of.expressed(request.cron, request.interval, request.once)
    if recurs is None:
        raise InvalidInput("one of cron, interval and once is required", field="cron")
    kind, expression = recurs
    schedule_id = checks.check_id(request.id, "id")
    name = None if request.name is None else checks.check_title(request.name, "name")
    copied: dict[str, Any] = {name: getattr(request, name) for name in COPIED}
    return Schedule(
        id=schedule_id,
        project_id="",
        name=name or schedule_id,
        kind=kind,
        expression=expression,
        created_at=now,
        updated_at=now,
        start_at=fields_of.beginning(kind, request.start_at, now=now),
        task=fields_of.asked(request, name=name),
        **copied,
    )


def _names(changes: Mapping[str, Any], task: Mapping[str, Any]) -> list[str]:
    """As the request names them."""
    recurs = {changes["kind"].value} if "kind" in changes else set()
    return sorted(({*changes} - {"kind", "expression"}) | recurs | {*task})
