"""The queue: taking tasks, keeping them, and waking what waited. Who waits is told by `waiting`."""
# ruff: noqa: S608 - every piece of the statements below is a constant of this package; values are parameters.

import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Connection,
    Double,
    Select,
    Text,
    bindparam,
    cast,
    column,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy import func as sql
from sqlalchemy.sql.dml import ReturningUpdate

from orchestrator.domain.limit import Place
from orchestrator.domain.task import Claim, TaskState
from orchestrator.store.conditions import CLAIMED, HELD, STARTABLE, WAITING
from orchestrator.store.outbox import mark_changed
from orchestrator.store.prepared import Prepared
from orchestrator.store.rowset import parameter, source
from orchestrator.store.tables import attempts, tasks
from orchestrator.store.task_rows import COLUMNS, NAMES, task_read

DUE_AT_ONCE: Final = 1000
"""Rows woken in one transaction, so that a night of schedules does not keep everybody else waiting."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """What a heartbeat found of one claim that is still ours."""

    task_id: str
    attempt: int
    cancel_requested: bool


def clock(tx: Connection) -> float:
    """Now, in Unix seconds, by the one clock that all workers share: leases are measured with it."""
    if tx.dialect.name == "postgresql":
        return float(tx.execute(_POSTGRES_NOW).scalar_one())
    return time.time()


_POSTGRES_NOW: Final = text("SELECT extract(epoch FROM clock_timestamp())::float8")


def among(tx: Connection, ids: Iterable[str]) -> Any:
    """A parameter for `AMONG` of this database: any number of ids in one statement of constant text."""
    return list(ids) if tx.dialect.name == "postgresql" else json.dumps(list(ids))


SKIP_LOCKED: Final = {"sqlite": "", "postgresql": "FOR UPDATE SKIP LOCKED"}
"""Rows that another worker is just taking are passed over, not waited for; SQLite has one writer."""
AMONG: Final = {"sqlite": "IN (SELECT value FROM json_each(:ids))", "postgresql": "= ANY(:ids)"}

# The same as CLAIMABLE, in words that no index fits: the rows are found by their ids, and SQLite would rather
# read every READY task there is.
STILL_CLAIMABLE: Final = "state || '' = 'READY' AND hold IS NULL AND run_at IS NULL"


def _claim(ids: str) -> ReturningUpdate[Any]:
    return (
        update(tasks)
        .where(text(f"id {ids}"), text(STILL_CLAIMABLE))
        .values(
            state=TaskState.ASSIGNED.value,
            attempt=tasks.c.attempt + 1,
            claimed_by=bindparam("worker"),
            lease_until=bindparam("until"),
            updated_at=bindparam("now"),
        )
        .returning(*COLUMNS)
    )


_PLACES: Final = {"id": "text", "host": "text", "profile": "text", "model": "text"}
_OPEN: Final = Prepared(
    {
        "sqlite": text(
            "INSERT INTO attempts "
            "(task_id, number, project_id, worker, started_at, host, claimed_profile, model) "
            "SELECT t.id, t.attempt, t.project_id, :worker, :now, r.host, r.profile, r.model "
            f"FROM {source('sqlite', _PLACES)} JOIN tasks t ON t.id = r.id"
        )
    }
)


def _claim_and_open(ids: str) -> Select[Any]:
    """The claim and its attempts in one round trip, which only PostgreSQL can say."""
    taken = _claim(ids).cte("taken")
    names = [column(name, Text) for name in _PLACES]
    given = sql.json_to_recordset(cast(bindparam("rows", type_=Text), JSON)).table_valued(*names)
    places = given.render_derived(name="r", with_types=True)
    opened = insert(attempts).from_select(
        ["task_id", "number", "project_id", "worker", "started_at", "host", "claimed_profile", "model"],
        select(
            taken.c.id,
            taken.c.attempt,
            taken.c.project_id,
            bindparam("worker", type_=Text),
            bindparam("now", type_=Double),
            places.c.host,
            places.c.profile,
            places.c.model,
        ).join_from(taken, places, places.c.id == taken.c.id),
    )
    return select(*(taken.c[name] for name in NAMES)).add_cte(opened.cte("opened"))


_FREE: Final = "= ANY(ARRAY(SELECT id FROM tasks WHERE id = ANY(:ids) FOR UPDATE SKIP LOCKED))"
_TAKE: Final = {
    kept: Prepared({"sqlite": _claim(AMONG["sqlite"]), "postgresql": _claim_and_open(ids)})
    for kept, ids in {True: AMONG["postgresql"], False: _FREE}.items()
}


def claim(
    tx: Connection,
    ids: Sequence[str],
    *,
    worker: str,
    now: float,
    lease_seconds: float,
    places: Mapping[str, Place] = MappingProxyType({}),
    kept: bool = True,
) -> list[Claim]:
    """Take these tasks, as many as can still be taken; each gets its next attempt and a lease. `places` says
    by task what the attempt counts against. `kept` says that this transaction keeps them from others already;
    where it does not, those that another has in hand are passed over, and not waited for."""
    if not ids:
        return []
    values = {"ids": among(tx, ids), "worker": worker, "until": now + lease_seconds, "now": now}
    if tx.dialect.name == "postgresql":
        rows = parameter(_place(task_id, places.get(task_id)) for task_id in ids)
        taken = [task_read(row) for row in _TAKE[kept].rows(tx, {**values, "rows": rows})]
    else:
        taken = [task_read(row) for row in _TAKE[kept].rows(tx, values)]
        rows = parameter(_place(task.id, places.get(task.id)) for task in taken)
        _OPEN.rows(tx, {"rows": rows, "worker": worker, "now": now})
    place = {task_id: index for index, task_id in enumerate(ids)}
    taken.sort(key=lambda task: place[task.id])
    return [
        Claim(task=task, worker=worker, attempt=task.attempt, lease_until=now + lease_seconds)
        for task in taken
    ]


def _place(task_id: str, place: Place | None) -> dict[str, Any]:
    return {
        "id": task_id,
        "host": place.host if place else None,
        "profile": place.profile_id if place else None,
        "model": place.model if place else None,
    }


_BEAT: Final = {
    dialect: update(tasks)
    .where(text(f"id {among_ids}"), tasks.c.claimed_by == bindparam("worker"), text(CLAIMED))
    .values(lease_until=bindparam("until"))
    .returning(tasks.c.id, tasks.c.attempt, tasks.c.cancel_requested)
    for dialect, among_ids in AMONG.items()
}


def heartbeat(
    tx: Connection, ids: Collection[str], *, worker: str, now: float, lease_seconds: float
) -> list[Beat]:
    """Extend the leases of these tasks. What is not in the answer is no longer this worker's."""
    if not ids:
        return []
    values = {"ids": among(tx, ids), "worker": worker, "until": now + lease_seconds}
    rows = tx.execute(_BEAT[tx.dialect.name], values)
    return [Beat(task_id=row[0], attempt=row[1], cancel_requested=bool(row[2])) for row in rows]


_FENCE: Final = (
    (tasks.c.id == bindparam("b_id"))
    & (tasks.c.claimed_by == bindparam("b_worker"))
    & (tasks.c.attempt == bindparam("b_attempt"))
)


_LOOK: Final = {
    dialect: select(tasks.c.id, tasks.c.attempt, tasks.c.cancel_requested).where(
        text(f"id {among_ids}"), tasks.c.claimed_by == bindparam("worker")
    )
    for dialect, among_ids in AMONG.items()
}


def look(tx: Connection, ids: Collection[str], *, worker: str) -> list[Beat]:
    """What a heartbeat would answer, without extending anything and without a write."""
    rows = tx.execute(_LOOK[tx.dialect.name], {"ids": among(tx, ids), "worker": worker})
    return [Beat(task_id=row[0], attempt=row[1], cancel_requested=bool(row[2])) for row in rows]


def fence(claim: Claim) -> dict[str, Any]:
    """Parameters of the condition that a write is made under this very claim."""
    return {"b_id": claim.task.id, "b_worker": claim.worker, "b_attempt": claim.attempt}


_RELEASE: Final = (
    update(tasks)
    .where(_FENCE, tasks.c.state == TaskState.ASSIGNED.value)
    .values(state=TaskState.READY.value, claimed_by=None, lease_until=None, updated_at=bindparam("b_now"))
)
_CLOSE_UNUSED: Final = (
    delete(attempts)
    .where(attempts.c.task_id == bindparam("b_id"), attempts.c.number == bindparam("b_attempt"))
    .where(attempts.c.worker == bindparam("b_worker"), attempts.c.ended_at.is_(None))
)


def release(tx: Connection, claims: Iterable[Claim], *, now: float) -> int:
    """Give back what was claimed and never begun; no trace of it remains. Returns how many it were."""
    released = 0
    for claim_ in claims:
        if tx.execute(_RELEASE, {**fence(claim_), "b_now": now}).rowcount:
            tx.execute(_CLOSE_UNUSED, fence(claim_))
            released += 1
    if released:
        mark_changed(tx)
    return released


_HOLD: Final = (
    update(tasks)
    .where(tasks.c.id == bindparam("b_id"), text(STARTABLE))
    .values(
        hold=bindparam("b_hold"),
        hold_message=bindparam("b_message"),
        hold_until=bindparam("b_until"),
        updated_at=bindparam("b_now"),
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A note on a READY task: why it cannot start now, and when it is looked at again unasked."""

    task_id: str
    reason: str
    message: str
    until: float


def hold(tx: Connection, held: Sequence[Held], *, now: float) -> None:
    """Annotate tasks that are still waiting; they leave the claimable ones until their time."""
    if held:
        tx.execute(
            _HOLD,
            [
                {
                    "b_id": one.task_id,
                    "b_hold": one.reason,
                    "b_message": one.message,
                    "b_until": one.until,
                    "b_now": now,
                }
                for one in held
            ],
        )


_UNMET: Final = (
    "EXISTS (SELECT 1 FROM task_dependencies d JOIN tasks n ON n.id = d.depends_on "
    "WHERE d.task_id = tasks.id AND n.state <> 'COMPLETED')"
)
_WAKE: Final = {
    dialect: text(
        f"UPDATE tasks SET run_at = NULL, updated_at = :now, "
        f"state = CASE WHEN state = 'READY' THEN state WHEN {_UNMET} THEN 'DEFINED' ELSE 'READY' END "
        f"WHERE id IN (SELECT id FROM tasks WHERE run_at <= :now AND {WAITING} ORDER BY run_at "
        f"LIMIT {DUE_AT_ONCE} {skip})"
    )
    for dialect, skip in SKIP_LOCKED.items()
}
_RECHECK: Final = {
    dialect: text(
        f"UPDATE tasks SET hold = NULL, hold_message = NULL, hold_until = NULL "
        f"WHERE id IN (SELECT id FROM tasks WHERE hold_until <= :now AND {HELD} ORDER BY hold_until "
        f"LIMIT {DUE_AT_ONCE} {skip})"
    )
    for dialect, skip in SKIP_LOCKED.items()
}


def wake_due(tx: Connection, *, now: float) -> None:
    """Make claimable what waited for its time, and lift the holds whose time has come: as much as fits in one
    go."""
    tx.execute(_WAKE[tx.dialect.name], {"now": now})
    tx.execute(_RECHECK[tx.dialect.name], {"now": now})
