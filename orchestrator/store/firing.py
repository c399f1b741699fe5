"""Firing schedules: each due occurrence becomes one task, in the transaction that moves the schedule on."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection, exists, func, select, text

from orchestrator.domain.errors import NotFound
from orchestrator.domain.schedule import Decision, Overlap, Schedule, Timing, decide, due_at
from orchestrator.domain.task import NewTask, Task, TaskState
from orchestrator.store import schedules as rows
from orchestrator.store import tasks
from orchestrator.store.conditions import OF_SCHEDULE
from orchestrator.store.outbox import Topic, announce, mark_changed
from orchestrator.store.tables import queued_occurrences, schedules
from orchestrator.store.tables import tasks as all_tasks

CHECK_MARGIN: Final = 15.0
"""Seconds that a condition may take to start, to be ended and to be recorded, beside its own time."""
QUEUED_AT_MOST: Final = 100
"""Occurrences of one schedule that wait for each other; those that come after them are skipped."""
LOOKED_AT_ONCE: Final = 100

Occurrences = Callable[[Timing, float], Iterator[float]]
"""See `occurrences.following`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What there is to do for schedules."""

    due: tuple[str, ...]
    """Ids of those that are due, the oldest first."""
    free: tuple[str, ...]
    """Ids of those whose queued occurrence may make its task now."""
    next_at: float | None
    """When there is something to do next; `None` when no schedule waits for its time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A condition to be asked, and the right to do so until `until`."""

    schedule: Schedule
    holder: str
    asked_at: float
    until: float
    occurrence: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a condition said."""

    run: bool
    message: str


def look(tx: Connection, *, now: float) -> Look:
    """Which schedules are due at `now`, and when to look again."""
    waiting = text("enabled AND next_at IS NOT NULL")
    at, asked = schedules.c.next_at, schedules.c.checking_until
    moment = sa.case((sa.and_(asked.is_not(None), asked > at), asked), else_=at)
    due = (
        select(schedules.c.id)
        .where(waiting, at <= now, moment <= now)
        .order_by(at, schedules.c.id)
        .limit(LOOKED_AT_ONCE)
    )
    later = select(func.min(moment)).where(waiting, moment > now)
    queue = queued_occurrences.c.schedule_id
    busy = exists().where(text(OF_SCHEDULE), all_tasks.c.schedule_id == queue)
    free = (
        select(queue)
        .distinct()
        .join(schedules, schedules.c.id == queue)
        .where(schedules.c.enabled, ~busy)
        .where(sa.or_(asked.is_(None), asked <= now))  # as `release` asks: or one would look without a pause
        .order_by(queue)
    )
    return Look(
        due=tuple(tx.execute(due).scalars()),
        free=tuple(tx.execute(free.limit(LOOKED_AT_ONCE)).scalars()),
        next_at=tx.execute(later).scalar(),
    )


def fire(
    tx: Connection,
    schedule_id: str,
    *,
    now: float,
    occurrences: Occurrences,
    new_id: Callable[[], str],
    holder: str,
) -> Check | None:
    """Deal with what is due of the schedule, or answer with the condition to be asked first.

    Whoever comes second finds that the schedule has moved on, and does nothing: the row is locked, and what
    is due is read from it in this transaction.
    """
    schedule = _locked(tx, schedule_id, now)
    if schedule is None or not _is_due(schedule, now):
        return None
    decision = _decide(schedule, now, occurrences)
    if schedule.condition is None or not decision.fire:
        _carry_out(tx, schedule, decision, now=now, new_id=new_id)
        return None
    until = now + schedule.condition_seconds + CHECK_MARGIN
    rows.save(tx, schedule, checking_by=holder, checking_until=until)
    assert schedule.next_for is not None
    return Check(schedule=schedule, holder=holder, asked_at=now, until=until, occurrence=schedule.next_for)


def fire_checked(
    tx: Connection,
    check: Check,
    verdict: Verdict,
    *,
    now: float,
    occurrences: Occurrences,
    new_id: Callable[[], str],
) -> bool:
    """Deal with what was due when the condition was asked, as it said. False when the right to ask has
    passed to another meanwhile, or the schedule was changed: then nothing is done."""
    asking = (schedules.c.checking_by == check.holder) & (schedules.c.checking_until == check.until)
    query = select(*rows.COLUMNS).where(schedules.c.id == check.schedule.id, asking).with_for_update()
    row = tx.execute(query).mappings().first()
    if row is None:
        return False
    schedule = rows.schedule_of(row)
    # What was on time when it was asked is not late because the answer took its time.
    decision = _decide(schedule, check.asked_at, occurrences)
    refused = None if verdict.run else verdict.message
    _carry_out(tx, schedule, decision, now=now, new_id=new_id, refused=refused)
    return True


def release(tx: Connection, schedule_id: str, *, now: float, new_id: Callable[[], str]) -> Task | None:
    """Make the task of the occurrence that has waited longest, once nothing of the schedule is under way."""
    schedule = _locked(tx, schedule_id, now)
    if schedule is None or _under_way(tx, schedule_id) is not None:
        return None
    waiting = rows.queued(tx, schedule_id)
    if not waiting:
        return None
    here = queued_occurrences.c
    tx.execute(
        sa.delete(queued_occurrences).where(here.schedule_id == schedule_id, here.scheduled_for == waiting[0])
    )
    task = _make(tx, schedule, waiting[0], task_id=new_id(), now=now)
    if task is not None:
        outcome = f"made task {task.id}, after the one before had ended"
        rows.save(tx, replace(schedule, last_task_id=task.id, last_outcome=outcome, last_at=now))
    return task


def run_now(tx: Connection, schedule: Schedule, *, task_id: str, by: str, now: float) -> Task:
    """Make a task at once because somebody says so; times, overlap and condition do not matter."""
    task = tasks.create(tx, _wanted(schedule, None), task_id=task_id, now=now)
    announce(
        tx, rows.schedule_event("schedule.fired", schedule, at=now, scheduled_for=None, task=task.id, by=by)
    )
    rows.save(tx, replace(schedule, last_task_id=task.id, last_outcome=f"made task {task.id} by hand"))
    return task


def fail(tx: Connection, schedule_id: str, message: str, *, now: float) -> None:
    """Pause a schedule that cannot be carried out, and say why."""
    with contextlib.suppress(NotFound):
        schedule = rows.locked(tx, schedule_id)
        paused = replace(
            schedule,
            enabled=False,
            paused_reason=message,
            next_for=None,
            next_at=None,
            updated_at=now,
        )
        rows.update(tx, paused, "schedule.paused", reason=message)


def _locked(tx: Connection, schedule_id: str, now: float) -> Schedule | None:
    """The schedule, unless it is gone, paused, or its condition is being asked."""
    asked = schedules.c.checking_until
    query = (
        select(*rows.COLUMNS)
        .where(schedules.c.id == schedule_id, schedules.c.enabled)
        .where(sa.or_(asked.is_(None), asked <= now))
        .with_for_update()
    )
    row = tx.execute(query).mappings().first()
    return None if row is None else rows.schedule_of(row)


def _is_due(schedule: Schedule, now: float) -> bool:
    return schedule.next_at is not None and schedule.next_at <= now


def _decide(schedule: Schedule, now: float, occurrences: Occurrences) -> Decision:
    return decide(schedule, now=now, following=partial(occurrences, schedule.timing))


def _carry_out(
    tx: Connection,
    schedule: Schedule,
    decision: Decision,
    *,
    now: float,
    new_id: Callable[[], str],
    refused: str | None = None,
) -> None:
    """Write the decision: tasks, what makes none, and where the schedule stands then."""
    moved = replace(schedule, next_for=decision.next_for, next_at=due_at(schedule, decision.next_for))
    if decision.dropped is not None:
        gone = decision.dropped
        data = {"first": gone.first, "last": gone.last, "count": gone.count, "more": gone.more}
        announce(
            tx, rows.schedule_event("schedule.missed", schedule, at=now, policy=schedule.missed.value, **data)
        )
        more = "more than " if gone.more else ""
        moved = replace(moved, last_at=now, last_for=gone.last, last_outcome=f"missed {more}{gone.count}")
    for occurrence in decision.fire:
        if refused is None:
            outcome, task = _one(tx, schedule, occurrence, now=now, new_id=new_id)
        else:
            outcome, task = _skip(tx, schedule, occurrence, now, "condition", refused), None
        moved = replace(
            moved,
            last_at=now,
            last_for=occurrence,
            last_outcome=outcome,
            last_task_id=moved.last_task_id if task is None else task.id,
        )
    rows.save(tx, moved, checking_by=None, checking_until=None)
    mark_changed(tx, Topic.SCHEDULES)


def _one(
    tx: Connection, schedule: Schedule, occurrence: float, *, now: float, new_id: Callable[[], str]
) -> tuple[str, Task | None]:
    """What becomes of one due occurrence, and the task when it makes one."""
    if schedule.overlap is not Overlap.ALLOW:
        earlier = _under_way(tx, schedule.id)
        waiting = len(rows.queued(tx, schedule.id)) if schedule.overlap is Overlap.QUEUE else 0
        if earlier is not None or waiting:
            behind = f"task {earlier[0]} is {earlier[1]}" if earlier else "others wait before it"
            if schedule.overlap is Overlap.SKIP:
                return _skip(tx, schedule, occurrence, now, "overlap", behind), None
            if waiting >= QUEUED_AT_MOST:
                message = f"{waiting} occurrences wait already; {behind}"
                return _skip(tx, schedule, occurrence, now, "queue_full", message), None
            _queue(tx, schedule, occurrence, now, behind)
            return f"waits: {behind}", None
    task = _make(tx, schedule, occurrence, task_id=new_id(), now=now)
    return ("it had made its task before" if task is None else f"made task {task.id}"), task


def _make(tx: Connection, schedule: Schedule, occurrence: float, *, task_id: str, now: float) -> Task | None:
    """The occurrence's task; `None` when there is one already, as after a clock that went back."""
    known = select(all_tasks.c.id).where(
        all_tasks.c.schedule_id == schedule.id, all_tasks.c.scheduled_for == occurrence
    )
    if tx.execute(known).first() is not None:
        return None
    task = tasks.create(tx, _wanted(schedule, occurrence), task_id=task_id, now=now)
    late = max(now - (due_at(schedule, occurrence) or now), 0.0)
    data = {"scheduled_for": occurrence, "task": task.id, "late_seconds": round(late, 3)}
    announce(tx, rows.schedule_event("schedule.fired", schedule, at=now, **data))
    return task


def _wanted(schedule: Schedule, occurrence: float | None) -> NewTask:
    fields: dict[str, Any] = {
        "title": schedule.name,
        **schedule.task,
        "requires": tuple(schedule.task.get("requires", ())),
        "project_id": schedule.project_id,
        "profile_id": schedule.profile_id,
        "schedule_id": schedule.id,
        "scheduled_for": occurrence,
    }
    return NewTask(**fields)


def _skip(
    tx: Connection, schedule: Schedule, occurrence: float, now: float, reason: str, message: str
) -> str:
    data = {"scheduled_for": occurrence, "reason": reason, "message": message}
    announce(tx, rows.schedule_event("schedule.skipped", schedule, at=now, **data))
    return f"skipped: {message}"


def _queue(tx: Connection, schedule: Schedule, occurrence: float, now: float, message: str) -> None:
    row = {"schedule_id": schedule.id, "scheduled_for": occurrence, "queued_at": now}
    tx.execute(sa.insert(queued_occurrences).values(row))
    data = {"scheduled_for": occurrence, "message": message}
    announce(tx, rows.schedule_event("schedule.queued", schedule, at=now, **data))


def _under_way(tx: Connection, schedule_id: str) -> tuple[str, TaskState] | None:
    """A task that the schedule made and that has not ended."""
    columns = all_tasks.c
    query = select(columns.id, columns.state).where(text(OF_SCHEDULE), columns.schedule_id == schedule_id)
    row = tx.execute(query.order_by(columns.created_at).limit(1)).first()
    return None if row is None else (row[0], TaskState(row[1]))
