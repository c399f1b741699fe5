"""Schedules: kept, found and listed. What makes tasks of them is in `firing`."""

from dataclasses import fields
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping, select
from sqlalchemy.exc import IntegrityError

from orchestrator.domain.errors import AlreadyExists, NotFound
from orchestrator.domain.event import Event
from orchestrator.domain.schedule import Missed, Overlap, Schedule, ScheduleKind
from orchestrator.store.outbox import Topic, announce, mark_changed
from orchestrator.store.tables import agent_profiles, projects, queued_occurrences, schedules

NAMES: Final = tuple(field.name for field in fields(Schedule))
COLUMNS: Final = tuple(schedules.c[name] for name in NAMES)
_KINDS: Final = {"kind": ScheduleKind, "missed": Missed, "overlap": Overlap}


def create(tx: Connection, schedule: Schedule) -> None:
    """Raises AlreadyExists, or NotFound for the project or the profile."""
    _check_references(tx, schedule)
    if get(tx, schedule.id) is not None:
        raise AlreadyExists(f"schedule {schedule.id} already exists", field="id")
    try:
        tx.execute(sa.insert(schedules).values(_values(schedule)))
    except IntegrityError as error:
        raise AlreadyExists(f"schedule {schedule.id} already exists", field="id") from error
    announce(tx, schedule_event("schedule.created", schedule, at=schedule.created_at))
    mark_changed(tx, Topic.SCHEDULES)


def get(tx: Connection, schedule_id: str) -> Schedule | None:
    row = tx.execute(select(*COLUMNS).where(schedules.c.id == schedule_id)).mappings().first()
    return None if row is None else schedule_of(row)


def list_schedules(tx: Connection, *, project_id: str | None = None) -> list[Schedule]:
    """All of them, or a project's, by id."""
    query = select(*COLUMNS).order_by(schedules.c.id)
    if project_id is not None:
        query = query.where(schedules.c.project_id == project_id)
    return [schedule_of(row) for row in tx.execute(query).mappings()]


def locked(tx: Connection, schedule_id: str) -> Schedule:
    """The schedule, of which nothing fires until this transaction ends. Raises NotFound."""
    query = select(*COLUMNS).where(schedules.c.id == schedule_id).with_for_update()
    row = tx.execute(query).mappings().first()
    if row is None:
        raise NotFound(
            f"schedule {schedule_id} not found; `orchestrator schedule list` shows those there are",
            field="schedule_id",
        )
    return schedule_of(row)


def update(tx: Connection, schedule: Schedule, kind: str = "schedule.updated", **data: Any) -> None:
    """Write the whole record and record the fact. A condition that is being asked for the old one no longer
    counts. Raises NotFound for the profile."""
    _check_references(tx, schedule)
    save(tx, schedule, checking_by=None, checking_until=None)
    announce(tx, schedule_event(kind, schedule, at=schedule.updated_at, **data))
    mark_changed(tx, Topic.SCHEDULES)


def save(tx: Connection, schedule: Schedule, **more: Any) -> None:
    """Write the whole record, and nothing else but `more`."""
    here = sa.update(schedules).where(schedules.c.id == schedule.id)
    tx.execute(here.values(_values(schedule) | more))


def delete(tx: Connection, schedule: Schedule, *, now: float) -> None:
    """It makes no more tasks; those it made go on, and still say which schedule made them."""
    tx.execute(sa.delete(queued_occurrences).where(queued_occurrences.c.schedule_id == schedule.id))
    tx.execute(sa.delete(schedules).where(schedules.c.id == schedule.id))
    announce(tx, schedule_event("schedule.deleted", schedule, at=now))
    mark_changed(tx, Topic.SCHEDULES)


def queued(tx: Connection, schedule_id: str) -> list[float]:
    """Occurrences that wait until what was made before has ended, in order."""
    waiting = queued_occurrences.c
    query = select(waiting.scheduled_for).where(waiting.schedule_id == schedule_id)
    return list(tx.execute(query.order_by(waiting.scheduled_for)).scalars())


def schedule_event(kind: str, schedule: Schedule, *, at: float, **data: Any) -> Event:
    return Event(
        kind=kind,
        subject=f"schedule/{schedule.id}",
        at=at,
        data=data,
        project_id=schedule.project_id,
    )


def schedule_of(row: RowMapping) -> Schedule:
    values = {name: row[name] for name in NAMES}
    values |= {name: kind(row[name]) for name, kind in _KINDS.items()}
    return Schedule(**values | {"condition": None if row["condition"] is None else tuple(row["condition"])})


def _values(schedule: Schedule) -> dict[str, Any]:
    values = {name: getattr(schedule, name) for name in NAMES}
    values |= {name: values[name].value for name in _KINDS}
    return values | {
        "condition": None if schedule.condition is None else list(schedule.condition),
        "task": dict(schedule.task),
    }


def _check_references(tx: Connection, schedule: Schedule) -> None:
    named = ((projects, schedule.project_id, "project"), (agent_profiles, schedule.profile_id, "profile"))
    for table, wanted, what in named:
        if wanted is not None and tx.execute(select(table.c.id).where(table.c.id == wanted)).first() is None:
            raise NotFound(f"{what} {wanted} not found", field=f"{what}_id")
