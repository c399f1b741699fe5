"""Figures for operators: how deep and how old the queue is, what runs, what has ended."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, text

from orchestrator.domain.event import Event
from orchestrator.domain.task import TERMINAL, TaskState
from orchestrator.store import events
from orchestrator.store.conditions import CLAIMED
from orchestrator.store.tables import attempts, sync_state, tasks
from orchestrator.store.tables import events as outbox

_WAITING = sorted(state.value for state in TaskState if state not in TERMINAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """The tasks of one project in one state that have not ended."""

    project_id: str
    state: str
    count: int
    oldest_at: float
    """When the oldest of them was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    depths: tuple[Depth, ...]
    running: dict[str, int]
    """Attempts that go on, by worker: one agent process each."""
    leases: int
    oldest_claim: float | None
    """When the first of the attempts that go on was taken."""
    soonest_lease: float | None
    """When the first lease runs out."""
    last_event: int
    unusable: int
    """Documents of the vault that cannot be used as they are."""


def figures(tx: Connection) -> Figures:
    grouped = (
        select(tasks.c.project_id, tasks.c.state, func.count(), func.min(tasks.c.created_at))
        .where(tasks.c.state.in_(_WAITING))
        .group_by(tasks.c.project_id, tasks.c.state)
    )
    going_on = (
        select(attempts.c.worker, func.count()).where(text("ended_at IS NULL")).group_by(attempts.c.worker)
    )
    leases, soonest = tx.execute(
        select(func.count(), func.min(tasks.c.lease_until)).where(text(CLAIMED))
    ).one()
    return Figures(
        depths=tuple(
            Depth(project_id=row[0], state=row[1], count=row[2], oldest_at=row[3])
            for row in tx.execute(grouped)
        ),
        running={row[0]: row[1] for row in tx.execute(going_on)},
        leases=leases,
        oldest_claim=tx.execute(
            select(func.min(attempts.c.started_at)).where(text("ended_at IS NULL"))
        ).scalar(),
        soonest_lease=soonest,
        last_event=events.last_id(tx),
        unusable=tx.execute(
            select(func.count()).select_from(sync_state).where(sync_state.c.error.is_not(None))
        ).scalar_one(),
    )


COUNTED = ("attempt.started", "attempt.ended", "vault.synced")
"""Kinds of event that counters are made of."""


def counted(tx: Connection, last: int) -> tuple[list[Event], int]:
    """The events after `last` that counters are made of, a page at a time, and the id that it reaches."""
    found = events.after(tx, last, kinds=COUNTED)
    if len(found) == events.PAGE:
        return [stored.event for stored in found], found[-1].id
    upto: Any = tx.execute(select(func.max(outbox.c.id))).scalar_one()
    return [stored.event for stored in found], max(last, upto or 0)
