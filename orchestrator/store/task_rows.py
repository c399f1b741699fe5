"""A task as a row, and a row as a task."""

from dataclasses import fields
from typing import Any, Final

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.sql.elements import ColumnElement

from orchestrator.domain.errors import Conflict, NotFound
from orchestrator.domain.event import Event
from orchestrator.domain.task import Task, TaskState
from orchestrator.store.columns import document, names
from orchestrator.store.outbox import Topic, announce, mark_changed
from orchestrator.store.tables import tasks

NAMES: Final = tuple(field.name for field in fields(Task))
COLUMNS: Final[tuple[ColumnElement[Any], ...]] = tuple(tasks.c[name] for name in NAMES)
"""Select these and give each row to `task_of`."""


def task_of(row: Row[Any]) -> Task:
    values = dict(zip(NAMES, row, strict=True))
    values["state"] = TaskState(values["state"])
    return Task(**values)


def task_read(row: tuple[Any, ...]) -> Task:
    """A task from a row that the driver gave, past the types of its columns."""
    values = dict(zip(NAMES, row, strict=True))
    values["state"] = TaskState(values["state"])
    values["labels"] = document(values["labels"])
    values["requires"] = names(values["requires"])
    values["cancel_requested"] = bool(values["cancel_requested"])
    return Task(**values)


def values_of(task: Task) -> dict[str, Any]:
    return {name: getattr(task, name) for name in NAMES} | {"state": task.state.value}


def locked(tx: Connection, task_id: str) -> Task:
    """The task, which nobody else changes until this transaction ends. Raises NotFound."""
    row = tx.execute(select(*COLUMNS).where(tasks.c.id == task_id).with_for_update()).first()
    if row is None:
        raise NotFound(f"task {task_id} not found", field="task_id")
    return task_of(row)


def save(tx: Connection, old: Task, new: Task, kind: str, **data: Any) -> Task:
    """Write what differs and record the fact. Raises Conflict when `old` is not what is there now."""
    before, after = values_of(old), values_of(new)
    changes = {name: value for name, value in after.items() if before[name] != value}
    same = (tasks.c.id == old.id) & (tasks.c.state == old.state.value) & (tasks.c.attempt == old.attempt)
    if changes and tx.execute(update(tasks).where(same).values(changes)).rowcount != 1:
        raise Conflict(f"task {old.id} changed meanwhile; look at it and try again")
    announce(tx, task_event(kind, new, at=new.updated_at, **data))
    mark_changed(tx)
    if new.schedule_id is not None and new.finished_at is not None:
        mark_changed(tx, Topic.SCHEDULES)
    return new


def task_event(kind: str, task: Task, *, at: float, **data: Any) -> Event:
    return Event(
        kind=kind,
        subject=f"task/{task.id}",
        at=at,
        data={"state": task.state.value, **data},
        project_id=task.project_id,
        task_id=task.id,
    )
