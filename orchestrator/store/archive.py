"""The archive: ended tasks moved out of the way of those that go on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, exists, func, insert, literal, select
from sqlalchemy.sql.elements import ColumnElement

from orchestrator.domain.task import TERMINAL, Task, TaskState
from orchestrator.store.outbox import announce, mark_changed
from orchestrator.store.tables import archived_tasks, task_dependencies, tasks
from orchestrator.store.task_rows import COLUMNS, NAMES, task_event, task_of

BATCH: Final = 200
"""Tasks moved in one transaction by default: a few milliseconds of the writer."""

_ENDED: Final = sorted(state.value for state in TERMINAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """Which tasks to archive: ended by that time, and what else is said."""

    ended_by: float
    states: Collection[TaskState] = ()
    """Of these only; none: however they ended."""
    project_id: str | None = None
    ids: Collection[str] | None = None


def archive(tx: Connection, chosen: Chosen, *, now: float, limit: int = BATCH) -> list[Task]:
    """Move such tasks, the oldest first, and answer with them. One that others still wait for stays, and so
    does one that an agent asked for whose own task goes on. Attempts and their messages stay where they are,
    found by the task's id."""
    query = select(*COLUMNS).where(*_fits(chosen), ~_needed(chosen))
    oldest = query.order_by(tasks.c.created_at, tasks.c.id).limit(limit).with_for_update(skip_locked=True)
    found = [task_of(row) for row in tx.execute(oldest)]
    if found:
        _move(tx, [task.id for task in found], now)
        announce(tx, *(task_event("task.archived", task, at=now) for task in found))
        mark_changed(tx)
    return found


def due(tx: Connection, chosen: Chosen, *, limit: int) -> list[str]:
    """The ids of what `archive` would move, the oldest first."""
    query = select(tasks.c.id).where(*_fits(chosen), ~_needed(chosen))
    return list(tx.execute(query.order_by(tasks.c.created_at, tasks.c.id).limit(limit)).scalars())


def count_due(tx: Connection, chosen: Chosen) -> int:
    query = select(func.count()).select_from(tasks).where(*_fits(chosen), ~_needed(chosen))
    return tx.execute(query).scalar_one()


def count_needed(tx: Connection, chosen: Chosen) -> int:
    """How many fit and stay all the same, because something else still needs them."""
    query = select(func.count()).select_from(tasks).where(*_fits(chosen), _needed(chosen))
    return tx.execute(query).scalar_one()


def get(tx: Connection, task_id: str) -> Task | None:
    columns = [archived_tasks.c[name] for name in NAMES]
    row = tx.execute(select(*columns).where(archived_tasks.c.id == task_id)).first()
    return None if row is None else task_of(row)


def archived_at(tx: Connection, task_id: str) -> float | None:
    """When the task was moved; `None` when it was not."""
    return tx.execute(select(archived_tasks.c.archived_at).where(archived_tasks.c.id == task_id)).scalar()


def find_ids(tx: Connection, fragment: str, *, limit: int) -> list[str]:
    """Ids of archived tasks that begin with the fragment, else those that end with it, in order."""
    key = archived_tasks.c.id
    beginning = (key >= fragment) & (key < fragment + "\U0010ffff")
    for fits in (beginning, key.endswith(fragment, autoescape=True)):
        found = list(tx.execute(select(key).where(fits).order_by(key).limit(limit)).scalars())
        if found:
            return found
    return []


def _fits(chosen: Chosen) -> list[ColumnElement[Any]]:
    by = chosen.ended_by
    states = [state.value for state in chosen.states if state in TERMINAL] if chosen.states else _ENDED
    fits: list[ColumnElement[Any]] = [tasks.c.finished_at <= by]
    if chosen.ids is None:
        # Whatever ended by then was created by then: the bound that the index by state and age can use.
        fits += [tasks.c.state.in_(states), tasks.c.created_at <= by]
    else:
        # An expression, or SQLite goes through every ended task by that index and not to these by their ids.
        fits += [tasks.c.id.in_(list(chosen.ids)), tasks.c.state.concat("").in_(states)]
    if chosen.project_id is not None:
        fits.append(tasks.c.project_id == chosen.project_id)
    return fits


def _needed(chosen: Chosen) -> ColumnElement[bool]:
    """Whether something that stays rests on the task: one that has not ended waits for it, or may wait for
    it again when a person retries it, or its own agent asked for it and may look at it."""
    waits, parent = tasks.alias("waits"), tasks.alias("parent")
    goes_on = waits.c.state.not_in(_ENDED)
    may_again = (tasks.c.state != TaskState.COMPLETED.value) & (waits.c.finished_at > chosen.ended_by)
    waited_for = exists(
        select(task_dependencies.c.task_id)
        .join(waits, waits.c.id == task_dependencies.c.task_id)
        .where(task_dependencies.c.depends_on == tasks.c.id, goes_on | may_again)
    )
    family = exists(
        select(parent.c.id).where(parent.c.id == tasks.c.parent_id, parent.c.state.not_in(_ENDED))
    )
    return waited_for | family


def _move(tx: Connection, ids: Sequence[str], now: float) -> None:
    moved = select(*(tasks.c[name] for name in NAMES), literal(now)).where(tasks.c.id.in_(ids))
    tx.execute(insert(archived_tasks).from_select([*NAMES, "archived_at"], moved))
    tx.execute(delete(tasks).where(tasks.c.id.in_(ids)))
