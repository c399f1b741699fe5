"""The queue: who waits, taking tasks, and keeping them."""
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

from orchestrator.domain.candidate import Candidate
from orchestrator.domain.limit import Place
from orchestrator.domain.task import Claim, TaskState
from orchestrator.store.conditions import CLAIMABLE, CLAIMED, DEMANDING, HELD, STARTABLE, WAITING
from orchestrator.store.outbox import mark_changed
from orchestrator.store.rowset import parameter, source
from orchestrator.store.tables import attempts, tasks
from orchestrator.store.task_rows import COLUMNS, NAMES, task_of

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

_OPEN_PROJECTS: Final = """
WITH RECURSIVE open(project_id) AS (
    SELECT min(project_id) FROM tasks {hint} WHERE {where}
    UNION ALL
    SELECT (SELECT min(project_id) FROM tasks {hint} WHERE {where} AND project_id > open.project_id)
    FROM open WHERE open.project_id IS NOT NULL
)
"""
_FIRST: Final = {
    # The next few of each project are found by their place in the index: its other rows are never read,
    # however many there are. SQLite is told which index, since its statistics can talk it out of it.
    "sqlite": _OPEN_PROJECTS
    + """
SELECT t.id, t.project_id, t.profile_id, t.priority, t.created_at, t.parent_attempt
FROM open JOIN projects p ON p.id = open.project_id AND NOT p.paused
CROSS JOIN tasks t WHERE t.id IN (
    SELECT id FROM tasks {hint} WHERE project_id = open.project_id AND {where}
    ORDER BY project_id, priority, created_at, id LIMIT :most)
""",
    # Rows that another worker is just taking are passed over, not waited for.
    "postgresql": _OPEN_PROJECTS
    + """
SELECT t.id, t.project_id, t.profile_id, t.priority, t.created_at, t.parent_attempt
FROM open JOIN projects p ON p.id = open.project_id AND NOT p.paused
CROSS JOIN LATERAL (
    SELECT id, project_id, profile_id, priority, created_at, parent_attempt FROM tasks
    WHERE project_id = open.project_id AND {where}
    ORDER BY project_id, priority, created_at, id LIMIT :most FOR UPDATE SKIP LOCKED) t
""",
}


def _indexed_by(dialect: str, index: str) -> str:
    return f"INDEXED BY {index}" if dialect == "sqlite" else ""


_DEMANDING: Final = {
    dialect: text(
        query.format(
            hint=_indexed_by(dialect, "tasks_demanding"), where=f"{DEMANDING} AND requires = :requires"
        )
    )
    for dialect, query in _FIRST.items()
}
# What is demanded of workers comes with the candidates, as rows without an id: asked for by itself it would
# be one more round trip, and for nothing in nearly every turn.
_DEMANDS: Final = f"""
UNION ALL
SELECT NULL, requires, NULL, NULL, NULL, NULL FROM (
    WITH RECURSIVE demand(requires) AS (
        SELECT min(requires) FROM tasks {{hint}} WHERE {DEMANDING}
        UNION ALL
        SELECT (SELECT min(requires) FROM tasks {{hint}} WHERE {DEMANDING} AND requires > demand.requires)
        FROM demand WHERE demand.requires IS NOT NULL
    )
    SELECT requires FROM demand WHERE requires IS NOT NULL
) AS demanded
"""
_CANDIDATES: Final = {
    dialect: text(
        query.format(hint=_indexed_by(dialect, "tasks_claimable"), where=CLAIMABLE)
        + _DEMANDS.format(hint=_indexed_by(dialect, "tasks_demanding"))
    )
    for dialect, query in _FIRST.items()
}


def candidates(tx: Connection, *, most: int, labels: Collection[str] = ()) -> list[Candidate]:
    """The first `most` tasks of every project that a worker with these labels may claim now, as far as the
    queue itself knows; in no particular order."""
    rows = list(tx.execute(_CANDIDATES[tx.dialect.name], {"most": most}))
    demands = [row[1] for row in rows if row[0] is None]
    rows = [row for row in rows if row[0] is not None]
    for demand in demands:
        if set(json.loads(demand)) <= set(labels):
            rows += tx.execute(_DEMANDING[tx.dialect.name], {"most": most, "requires": demand})
    return [candidate(row) for row in rows]


def candidate(row: Sequence[Any]) -> Candidate:
    """The columns of the statements above."""
    return Candidate(
        id=row[0],
        project_id=row[1],
        profile_id=row[2],
        priority=row[3],
        created_at=row[4],
        by_agent=row[5] is not None,
    )


def among(tx: Connection, ids: Iterable[str]) -> Any:
    """A parameter for `AMONG` of this database: any number of ids in one statement of constant text."""
    return list(ids) if tx.dialect.name == "postgresql" else json.dumps(list(ids))


AMONG: Final = {"sqlite": "IN (SELECT value FROM json_each(:ids))", "postgresql": "= ANY(:ids)"}

# The same as CLAIMABLE, in words that no index fits: the rows are found by their ids, and SQLite would rather
# read every READY task there is.
_STILL_CLAIMABLE: Final = "state || '' = 'READY' AND hold IS NULL AND run_at IS NULL"

_CLAIM: Final = {
    dialect: update(tasks)
    .where(text(f"id {among_ids}"), text(_STILL_CLAIMABLE))
    .values(
        state=TaskState.ASSIGNED.value,
        attempt=tasks.c.attempt + 1,
        claimed_by=bindparam("worker"),
        lease_until=bindparam("until"),
        updated_at=bindparam("now"),
    )
    .returning(*COLUMNS)
    for dialect, among_ids in AMONG.items()
}
_PLACES: Final = {"id": "text", "host": "text", "profile": "text", "model": "text"}
_OPEN_ATTEMPTS: Final = text(
    "INSERT INTO attempts "
    "(task_id, number, project_id, worker, started_at, host, claimed_profile, model) "
    "SELECT t.id, t.attempt, t.project_id, :worker, :now, r.host, r.profile, r.model "
    f"FROM {source('sqlite', _PLACES)} JOIN tasks t ON t.id = r.id"
)


def _claim_and_open() -> Select[Any]:
    """The claim and its attempts in one round trip, which only PostgreSQL can say."""
    taken = _CLAIM["postgresql"].cte("taken")
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


_CLAIM_AND_OPEN: Final = _claim_and_open()


def claim(
    tx: Connection,
    ids: Sequence[str],
    *,
    worker: str,
    now: float,
    lease_seconds: float,
    places: Mapping[str, Place] = MappingProxyType({}),
) -> list[Claim]:
    """Take these tasks, as many as can still be taken; each gets its next attempt and a lease. `places` says
    by task what the attempt counts against."""
    if not ids:
        return []
    values = {"ids": among(tx, ids), "worker": worker, "until": now + lease_seconds, "now": now}
    if tx.dialect.name == "postgresql":
        rows = parameter(_place(task_id, places.get(task_id)) for task_id in ids)
        taken = [task_of(row) for row in tx.execute(_CLAIM_AND_OPEN, {**values, "rows": rows})]
    else:
        taken = [task_of(row) for row in tx.execute(_CLAIM["sqlite"], values)]
        rows = parameter(_place(task.id, places.get(task.id)) for task in taken)
        tx.execute(_OPEN_ATTEMPTS, {"rows": rows, "worker": worker, "now": now})
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
_SKIP: Final = {"sqlite": "", "postgresql": "FOR UPDATE SKIP LOCKED"}
_WAKE: Final = {
    dialect: text(
        f"UPDATE tasks SET run_at = NULL, updated_at = :now, "
        f"state = CASE WHEN state = 'READY' THEN state WHEN {_UNMET} THEN 'DEFINED' ELSE 'READY' END "
        f"WHERE id IN (SELECT id FROM tasks WHERE run_at <= :now AND {WAITING} ORDER BY run_at "
        f"LIMIT {DUE_AT_ONCE} {skip})"
    )
    for dialect, skip in _SKIP.items()
}
_RECHECK: Final = {
    dialect: text(
        f"UPDATE tasks SET hold = NULL, hold_message = NULL, hold_until = NULL "
        f"WHERE id IN (SELECT id FROM tasks WHERE hold_until <= :now AND {HELD} ORDER BY hold_until "
        f"LIMIT {DUE_AT_ONCE} {skip})"
    )
    for dialect, skip in _SKIP.items()
}
_NEXT: Final = text(
    f"SELECT (SELECT min(run_at) FROM tasks WHERE {WAITING}), "
    f"(SELECT min(hold_until) FROM tasks WHERE {HELD})"
)


def wake_due(tx: Connection, *, now: float) -> float | None:
    """Make claimable what waited for its time, and lift the holds whose time has come. Returns when the next
    is due: now or earlier when there was more than fits in one go, `None` when nothing waits."""
    following = _next_due(tx)
    if following is None or following > now:
        return following
    tx.execute(_WAKE[tx.dialect.name], {"now": now})
    tx.execute(_RECHECK[tx.dialect.name], {"now": now})
    return _next_due(tx)


def _next_due(tx: Connection) -> float | None:
    return min((at for at in tx.execute(_NEXT).one() if at is not None), default=None)
