"""Attempts: what each ran under, what it said, how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from orchestrator.domain import lifecycle
from orchestrator.domain.attempt import AgentMessage, Attempt, Snapshot, Usage
from orchestrator.domain.errors import LeaseLost
from orchestrator.domain.task import Claim, Task
from orchestrator.store.outbox import announce
from orchestrator.store.tables import attempt_messages, attempts, tasks
from orchestrator.store.task_rows import task_event

_USAGE: Final = tuple(field.name for field in fields(Usage))
_SNAPSHOT: Final = tuple(field.name for field in fields(Snapshot))


def begin(
    tx: Connection, claim: Claim, snapshot: Snapshot, *, now: float, session_id: str | None = None
) -> Task:
    """The attempt that the claim opened starts under `snapshot`, fixed before the agent starts, in a session
    that can be gone on with should nobody hear how it ends. Raises LeaseLost."""
    task = lifecycle.begin(claim.task, now=now)
    still_ours = (
        (tasks.c.id == task.id)
        & (tasks.c.claimed_by == claim.worker)
        & (tasks.c.attempt == claim.attempt)
        & (tasks.c.state == claim.task.state.value)
    )
    changes = {"state": task.state.value, "updated_at": now}
    if tx.execute(update(tasks).where(still_ours).values(changes)).rowcount != 1:
        raise LeaseLost
    fixed = {name: getattr(snapshot, name) for name in _SNAPSHOT}
    _change(tx, claim, fixed if session_id is None else {**fixed, "session_id": session_id})
    started = task_event("attempt.started", task, at=now, attempt=claim.attempt, worker=claim.worker)
    announce(tx, started)
    return task


def append_messages(
    tx: Connection, claim: Claim, messages: Sequence[AgentMessage], *, again: bool = False
) -> None:
    """Store what the agent said since the last call; `again` when the last call may have stored it and the
    word of that was lost. Raises LeaseLost when the attempt is over for us."""
    _check_open(tx, claim)
    if again:
        here = (attempt_messages.c.task_id == claim.task.id) & (attempt_messages.c.number == claim.attempt)
        last = tx.execute(select(func.max(attempt_messages.c.sequence)).where(here)).scalar()
        messages = [one for one in messages if last is None or one.sequence > last]
    rows = [
        {
            "task_id": claim.task.id,
            "number": claim.attempt,
            "sequence": message.sequence,
            "at": message.at,
            "kind": message.kind,
            "body": dict(message.body),
        }
        for message in messages
    ]
    if rows:
        tx.execute(insert(attempt_messages), rows)


def note(
    tx: Connection,
    claim: Claim,
    *,
    session_id: str | None = None,
    enforcement: Mapping[str, Any] | None = None,
    checkout: str | None = None,
) -> None:
    """What became known while it runs; `None` leaves a value as it is. Raises LeaseLost."""
    given = {"session_id": session_id, "enforcement": enforcement, "checkout": checkout}
    changes = {name: value for name, value in given.items() if value is not None}
    if changes:
        _change(tx, claim, changes)


def end(
    tx: Connection,
    claim: Claim,
    *,
    outcome: str,
    message: str,
    now: float,
    usage: Usage | None = None,
    session_id: str | None = None,
    enforcement: Mapping[str, Any] | None = None,
) -> None:
    """How it ended and what it used. Raises LeaseLost when it had already ended, or never began."""
    changes: dict[str, Any] = {"ended_at": now, "outcome": outcome, "message": message}
    changes |= asdict(usage or Usage())
    if session_id is not None:
        changes["session_id"] = session_id
    if enforcement is not None:
        changes["enforcement"] = enforcement
    _change(tx, claim, changes)


def get(tx: Connection, task_id: str, number: int) -> Attempt | None:
    query = select(attempts).where(attempts.c.task_id == task_id, attempts.c.number == number)
    row = tx.execute(query).mappings().first()
    return None if row is None else _attempt(row)


def caller_of(tx: Connection, task: Task) -> Attempt | None:
    """The attempt whose agent asked for the task and bounds what it may do; `None` when there is none, or
    none any more."""
    if task.parent_id is None or task.parent_attempt is None:
        return None
    return get(tx, task.parent_id, task.parent_attempt)


def of_task(tx: Connection, task_id: str) -> list[Attempt]:
    """All attempts at the task, in order."""
    query = select(attempts).where(attempts.c.task_id == task_id).order_by(attempts.c.number)
    return [_attempt(row) for row in tx.execute(query).mappings()]


def messages(
    tx: Connection, task_id: str, number: int, *, after: int = -1, limit: int = 500
) -> list[AgentMessage]:
    """What the agent said after the message with the sequence number `after`."""
    page = attempt_messages.c
    query = (
        select(page.sequence, page.at, page.kind, page.body)
        .where(page.task_id == task_id, page.number == number, page.sequence > after)
        .order_by(page.sequence)
        .limit(limit)
    )
    return [
        AgentMessage(sequence=sequence, at=at, kind=kind, body=body)
        for sequence, at, kind, body in tx.execute(query)
    ]


def _check_open(tx: Connection, claim: Claim) -> None:
    query = select(attempts.c.number).where(*_open(claim)).with_for_update(read=True)
    if tx.execute(query).first() is None:
        raise LeaseLost


def _change(tx: Connection, claim: Claim, changes: Mapping[str, Any]) -> None:
    if tx.execute(update(attempts).where(*_open(claim)).values(changes)).rowcount != 1:
        raise LeaseLost


def _open(claim: Claim) -> tuple[Any, ...]:
    """The attempt of this claim, as long as nobody has ended it: who rescues a task ends its attempt."""
    return (
        attempts.c.task_id == claim.task.id,
        attempts.c.number == claim.attempt,
        attempts.c.worker == claim.worker,
        attempts.c.ended_at.is_(None),
    )


def _attempt(row: RowMapping) -> Attempt:
    lists = {"servers": tuple(row["servers"]), "warnings": tuple(row["warnings"])}
    snapshot = None
    if row["profile_id"] is not None:
        snapshot = Snapshot(**{name: row[name] for name in _SNAPSHOT} | lists)
    return Attempt(
        task_id=row["task_id"],
        number=row["number"],
        worker=row["worker"],
        started_at=row["started_at"],
        snapshot=snapshot,
        ended_at=row["ended_at"],
        outcome=row["outcome"],
        message=row["message"],
        session_id=row["session_id"],
        enforcement=row["enforcement"],
        usage=Usage(**{name: row[name] for name in _USAGE}),
    )
