"""The archive: ended tasks moved out of the way of those that go on."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, delete, exists, insert, literal, select

from orchestrator.domain.task import TERMINAL, Task
from orchestrator.store.outbox import announce, mark_changed
from orchestrator.store.tables import archived_tasks, task_dependencies, tasks
from orchestrator.store.task_rows import COLUMNS, NAMES, task_event, task_of

_ENDED: Final = sorted(state.value for state in TERMINAL)
_MOVED: Final = (*NAMES, "schedule_id", "scheduled_for")


def archive(
    tx: Connection,
    *,
    now: float,
    ended_before: float,
    project_id: str | None = None,
    limit: int = 500,
) -> list[Task]:
    """Move tasks that ended before a time, the oldest first, and answer with them. One that an unended
    task still depends on stays. Attempts and their messages stay where they are, found by the task's id."""
    waits = tasks.alias("waits")
    needed = exists(
        select(task_dependencies.c.task_id)
        .join(waits, waits.c.id == task_dependencies.c.task_id)
        .where(task_dependencies.c.depends_on == tasks.c.id, waits.c.state.not_in(_ENDED))
    )
    query = select(*COLUMNS).where(tasks.c.state.in_(_ENDED), tasks.c.finished_at < ended_before, ~needed)
    if project_id is not None:
        query = query.where(tasks.c.project_id == project_id)
    oldest = query.order_by(tasks.c.created_at, tasks.c.id).limit(limit).with_for_update(skip_locked=True)
    found = [task_of(row) for row in tx.execute(oldest)]
    if found:
        _move(tx, [task.id for task in found], now)
        announce(tx, *(task_event("task.archived", task, at=now) for task in found))
        mark_changed(tx)
    return found


def get(tx: Connection, task_id: str) -> Task | None:
    columns = [archived_tasks.c[name] for name in NAMES]
    row = tx.execute(select(*columns).where(archived_tasks.c.id == task_id)).first()
    return None if row is None else task_of(row)


def _move(tx: Connection, ids: Sequence[str], now: float) -> None:
    moved = select(*(tasks.c[name] for name in _MOVED), literal(now)).where(tasks.c.id.in_(ids))
    tx.execute(insert(archived_tasks).from_select([*_MOVED, "archived_at"], moved))
    tx.execute(delete(tasks).where(tasks.c.id.in_(ids)))
