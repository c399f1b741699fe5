"""Rescue: take back tasks whose worker is gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, func, select, text, true, update

from orchestrator.domain import lifecycle
from orchestrator.domain.event import Event
from orchestrator.domain.outcome import NotHere
from orchestrator.domain.task import TERMINAL, Task, TaskState
from orchestrator.store import callers, dependencies
from orchestrator.store.conditions import CLAIMED
from orchestrator.store.outbox import announce
from orchestrator.store.tables import attempts, tasks
from orchestrator.store.task_rows import COLUMNS, save, task_of

LOST: Final = "lost"
"""Outcome of an attempt whose worker went away without a word."""

AT_ONCE: Final = 200
"""Claims taken back in one transaction."""

_CLAIMED: Final = (
    select(*COLUMNS)
    .where(text(CLAIMED))
    .order_by(tasks.c.lease_until, tasks.c.id)
    .limit(AT_ONCE)
    .with_for_update(skip_locked=True)
)
_OF_TASK: Final = attempts.c.task_id == bindparam("task")
_OTHERWISE: Final = select(func.max(attempts.c.number)).where(
    # Of one that was left to another host nothing was learned: it started nothing.
    _OF_TASK,
    attempts.c.outcome.not_in((LOST, NotHere.kind)),
)
_RETRIED: Final = select(tasks.c.retried_after).where(tasks.c.id == bindparam("task"))
_IN_A_ROW: Final = (
    select(func.count())
    .select_from(attempts)
    .where(_OF_TASK, attempts.c.outcome == LOST)
    .where(*(attempts.c.number > func.coalesce(one.scalar_subquery(), 0) for one in (_OTHERWISE, _RETRIED)))
)
_SESSION: Final = select(attempts.c.session_id).where(
    attempts.c.task_id == bindparam("task"), attempts.c.number == bindparam("number")
)
_END: Final = (
    update(attempts)
    .where(
        attempts.c.task_id == bindparam("b_task"),
        attempts.c.number == bindparam("b_number"),
        attempts.c.ended_at.is_(None),
    )
    .values(
        ended_at=bindparam("b_now"),
        outcome=LOST,
        message="Its worker stopped without a word: killed, out of memory, suspended, or cut off from the "
        "database.",
    )
    .returning(attempts.c.rehearsal)
)
_KINDS: Final = {TaskState.CANCELLED: "task.cancelled", TaskState.BLOCKED: "task.blocked"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rescued:
    """A claim that was taken back, and where its task is now."""

    task_id: str
    attempt: int
    worker: str
    state: TaskState


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """On which a task is taken back: now, a random number in [0, 1), and how many attempts may be lost in a
    row before it is put aside."""

    now: float
    jitter: float
    max_losses: int = lifecycle.MAX_LOSSES
    spared: frozenset[str] = frozenset()
    """Tasks to be left for later: processes of theirs are still there."""


def rescue_expired(tx: Connection, terms: Terms) -> list[Rescued]:
    """Take back claims whose lease has run out, `AT_ONCE` at most."""
    return _take_back(tx, tx.execute(_claimed(terms).where(tasks.c.lease_until < terms.now)).all(), terms)


def rescue_from(tx: Connection, workers: Sequence[str], terms: Terms) -> list[Rescued]:
    """Take back claims of workers that are known to be dead, without waiting for their leases."""
    return _take_back(tx, tx.execute(_claimed(terms).where(tasks.c.claimed_by.in_(workers))).all(), terms)


def _claimed(terms: Terms) -> Select[Any]:
    return _CLAIMED.where(tasks.c.id.not_in(terms.spared)) if terms.spared else _CLAIMED


def _take_back(tx: Connection, rows: Sequence[Row[Any]], terms: Terms) -> list[Rescued]:
    rescued = [_one(tx, task_of(row), terms) for row in rows]
    callers.revoke(tx, (one.task_id for one in rescued), now=terms.now)
    over = [one.task_id for one in rescued if one.state in TERMINAL]
    dependencies.after_ending(tx, over, now=terms.now)
    return rescued


def _one(tx: Connection, task: Task, terms: Terms) -> Rescued:
    now, losses = terms.now, 1 + tx.execute(_IN_A_ROW, {"task": task.id}).scalar_one()
    back = lifecycle.rescue(
        task,
        now=now,
        losses=losses,
        jitter=terms.jitter,
        max_losses=terms.max_losses,
        session_id=tx.execute(_SESSION, {"task": task.id, "number": task.attempt}).scalar(),
    )
    ended = tx.execute(_END, {"b_task": task.id, "b_number": task.attempt, "b_now": now}).scalar()
    announce(
        tx,
        Event(
            kind="attempt.ended",
            subject=f"task/{task.id}/attempt/{task.attempt}",
            at=now,
            data={
                "attempt": task.attempt,
                "outcome": LOST,
                "worker": task.claimed_by,
                "rehearsal": bool(ended),
            },
            project_id=task.project_id,
            task_id=task.id,
        ),
    )
    save(tx, task, back, _KINDS.get(back.state, "task.rescued"), attempt=task.attempt)
    return Rescued(task_id=task.id, attempt=task.attempt, worker=task.claimed_by or "", state=back.state)


def expired(tx: Connection, *, now: float) -> list[tuple[str, int]]:
    """Claims whose lease has run out, as (task, attempt); a look that takes nothing."""
    return _keys(tx, tasks.c.lease_until < now)


def held_by(tx: Connection, workers: Sequence[str]) -> list[tuple[str, int]]:
    """Claims of these workers, as (task, attempt)."""
    return _keys(tx, tasks.c.claimed_by.in_(workers))


def claimed(tx: Connection) -> frozenset[tuple[str, int]]:
    """Every claim there is, as (task, attempt)."""
    return frozenset(_keys(tx, true()))


def _keys(tx: Connection, condition: ColumnElement[bool]) -> list[tuple[str, int]]:
    query = select(tasks.c.id, tasks.c.attempt).where(text(CLAIMED), condition).order_by(tasks.c.id)
    return [(row[0], row[1]) for row in tx.execute(query)]
