"""Families of tasks: those that an agent asked for, and whose agent it was."""

from sqlalchemy import Connection, func, select

from orchestrator.store.tables import tasks


def parent_of(tx: Connection, task_id: str) -> str | None:
    """The task whose agent asked for this one; `None` when a person did, or there is no such task."""
    return tx.execute(select(tasks.c.parent_id).where(tasks.c.id == task_id)).scalar()


def count_children(tx: Connection, task_id: str) -> int:
    query = select(func.count()).select_from(tasks).where(tasks.c.parent_id == task_id)
    return tx.execute(query).scalar_one()


def depth(tx: Connection, task_id: str, *, most: int) -> int:
    """How many parents it has one above the other, counted up to `most`."""
    found, at = 0, parent_of(tx, task_id)
    while at is not None and found < most:
        found, at = found + 1, parent_of(tx, at)
    return found
