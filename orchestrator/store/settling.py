"""Settling: the single write that records how attempts ended."""
# ruff: noqa: S608 - every piece of the statements below is a constant of this package; values are parameters.

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, text, update

from orchestrator.domain.ending import Ending
from orchestrator.domain.event import Event
from orchestrator.domain.outcome import Cancelled
from orchestrator.domain.task import CLAIMED, TERMINAL, Settlement, TaskState
from orchestrator.store import callers, dependencies
from orchestrator.store.columns import dumps, prose
from orchestrator.store.outbox import Topic, announce, mark_changed
from orchestrator.store.queue import AMONG, among
from orchestrator.store.rowset import parameter, source
from orchestrator.store.tables import attempts, tasks

_STILL_HELD: Final = {
    dialect: select(tasks.c.id, tasks.c.attempt, tasks.c.cancel_requested)
    .where(text(f"id {among_ids}"), tasks.c.claimed_by == bindparam("worker"))
    .where(tasks.c.state.in_([state.value for state in sorted(CLAIMED)]))
    .order_by(tasks.c.id)
    .with_for_update()
    for dialect, among_ids in AMONG.items()
}

# One row of what is written about a task and its attempt, and the types PostgreSQL reads them as.
_COLUMNS: Final = {
    "id": "text",
    "attempt": "int",
    "state": "text",
    "used": "int",
    "run_at": "float8",
    "hold": "text",
    "hold_message": "text",
    "hold_until": "float8",
    "session": "text",
    "answer_by": "float8",
    "finished": "float8",
    "outcome": "text",
    "message": "text",
    "attempt_session": "text",
    "enforcement": "text",
    "cost": "float8",
    "input": "int",
    "output": "int",
    "cache_read": "int",
    "cache_creation": "int",
    "turns": "int",
}

_SETTLE_TASKS: Final = (
    "UPDATE tasks SET state = r.state, failures = failures + r.used, run_at = r.run_at, hold = r.hold, "
    "hold_message = r.hold_message, hold_until = r.hold_until, session_id = r.session, "
    "answer_by = r.answer_by, result = r.message, finished_at = r.finished, claimed_by = NULL, "
    "lease_until = NULL, updated_at = :now FROM {rows} "
    "WHERE tasks.id = r.id AND tasks.attempt = r.attempt AND tasks.claimed_by = :worker"
)
_END_ATTEMPTS: Final = (
    "UPDATE attempts SET ended_at = :now, outcome = r.outcome, message = r.message, "
    "session_id = r.attempt_session, enforcement = r.enforcement, cost_usd = r.cost, "
    "input_tokens = r.input, output_tokens = r.output, cache_read_tokens = r.cache_read, "
    "cache_creation_tokens = r.cache_creation, turns = r.turns FROM {rows} "
    "WHERE attempts.task_id = r.id AND attempts.number = r.attempt AND attempts.worker = :worker "
    "RETURNING attempts.task_id, attempts.rehearsal"
)
_STATEMENTS: Final = {
    "sqlite": tuple(
        text(statement.format(rows=source("sqlite", _COLUMNS)))
        for statement in (_SETTLE_TASKS, _END_ATTEMPTS)
    ),
    # Only PostgreSQL can say it as one, and reading the rows once is a fifth of what it takes.
    "postgresql": (
        text(
            f"WITH r AS MATERIALIZED (SELECT * FROM {source('postgresql', _COLUMNS)}), "
            f"settled AS ({_SETTLE_TASKS.format(rows='r')}) {_END_ATTEMPTS.format(rows='r')}"
        ),
    ),
}
"""The last of them answers with the attempts that were ended, and whether each was a rehearsal."""


def settle(tx: Connection, endings: Sequence[Ending], *, worker: str, now: float) -> list[Ending]:
    """Record how these attempts of `worker` ended, and announce it. Returns those that were recorded: the
    others had lost their lease, and nothing of them is written."""
    if not endings:
        return []
    values = {"ids": among(tx, (one.claim.task.id for one in endings)), "worker": worker}
    held = {(row[0], row[1]): bool(row[2]) for row in tx.execute(_STILL_HELD[tx.dialect.name], values).all()}
    recorded = [
        _as_asked(one) if held[one.claim.task.id, one.claim.attempt] else one
        for one in endings
        if (one.claim.task.id, one.claim.attempt) in held
    ]
    if recorded:
        rows = {"rows": parameter(_row(one, now) for one in recorded), "worker": worker, "now": now}
        *before, last = _STATEMENTS[tx.dialect.name]
        for statement in before:
            tx.execute(statement, rows)
        rehearsals = {row[0] for row in tx.execute(last, rows).all() if row[1]}
        recorded = [
            replace(one, rehearsal=True) if one.claim.task.id in rehearsals else one for one in recorded
        ]
        for one in recorded:
            if one.warnings:
                _add_warnings(tx, one)
        callers.revoke(tx, (one.claim.task.id for one in recorded), now=now)
        announce(tx, *(fact for one in recorded for fact in _facts(one, now)))
        over = [one.claim.task.id for one in recorded if one.settlement.state in TERMINAL]
        dependencies.after_ending(tx, over, now=now)
        if any(one.settlement.state is TaskState.READY for one in recorded):
            mark_changed(tx)
        if any(one.claim.task.schedule_id and one.settlement.state in TERMINAL for one in recorded):
            mark_changed(tx, Topic.SCHEDULES)
    return recorded


def _add_warnings(tx: Connection, one: Ending) -> None:
    """What was noticed while it ran, after what was known when it began."""
    here = (attempts.c.task_id == one.claim.task.id) & (attempts.c.number == one.claim.attempt)
    known = tx.execute(select(attempts.c.warnings).where(here)).scalar() or []
    tx.execute(update(attempts).where(here).values(warnings=[*known, *one.warnings]))


def _as_asked(one: Ending) -> Ending:
    """A cancel asked for while the attempt ended wins over every further try, never over a result."""
    settlement = one.settlement
    if settlement.state in TERMINAL:
        return one
    asked = Cancelled()
    cancelled = Settlement(
        state=TaskState.CANCELLED,
        outcome=asked.kind,
        message=asked.message,
        used_attempt=settlement.used_attempt,
        cost_usd=settlement.cost_usd,
        details=settlement.details,
    )
    return replace(one, settlement=cancelled)


def _row(one: Ending, now: float) -> dict[str, Any]:
    settled, usage = one.settlement, one.usage
    message = prose(settled.message)
    row = {
        "id": one.claim.task.id,
        "attempt": one.claim.attempt,
        "state": settled.state.value,
        "used": int(settled.used_attempt),
        "run_at": settled.run_at,
        "hold": settled.hold,
        "hold_message": message if settled.hold else None,
        "hold_until": settled.hold_until,
        "session": None if settled.session_id is None else prose(settled.session_id),
        "answer_by": None if settled.answer_seconds is None else now + settled.answer_seconds,
        "finished": now if settled.state in TERMINAL else None,
        "outcome": settled.outcome,
        "message": message,
        "attempt_session": None if one.session_id is None else prose(one.session_id),
        "enforcement": dumps(dict(one.enforcement)) if one.enforcement else "{}",
        "cost": usage.cost_usd,
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cache_read": usage.cache_read_tokens,
        "cache_creation": usage.cache_creation_tokens,
        "turns": usage.turns,
    }
    return {name: value for name, value in row.items() if value is not None}  # what is not there is NULL


def _facts(one: Ending, now: float) -> tuple[Event, Event]:
    task, settled = one.claim.task, one.settlement
    ended = {
        "attempt": one.claim.attempt,
        "outcome": settled.outcome,
        "cost_usd": one.usage.cost_usd,
        "turns": one.usage.turns,
        "counted": settled.used_attempt,
        "rehearsal": one.rehearsal,
    }
    return (
        Event(
            kind="attempt.ended",
            subject=f"task/{task.id}/attempt/{one.claim.attempt}",
            at=now,
            data=ended,
            project_id=task.project_id,
            task_id=task.id,
        ),
        Event(
            kind=kind_of(settled),
            subject=f"task/{task.id}",
            at=now,
            data=_why(one),
            project_id=task.project_id,
            task_id=task.id,
        ),
    )


def kind_of(settled: Settlement) -> str:
    """Name of the fact about the task."""
    match settled.state:
        case TaskState.COMPLETED:
            return "task.completed"
        case TaskState.FAILED:
            return "task.failed"
        case TaskState.CANCELLED:
            return "task.cancelled"
        case TaskState.WAITING_INPUT:
            return "task.asked"
        case _ if settled.hold is not None:
            return "task.held"
        case _:
            return "task.retry_scheduled" if settled.used_attempt else "task.snoozed"


def _why(one: Ending) -> dict[str, Any]:
    """The answer itself stays in the task: an event is read by everybody and kept for long."""
    settled = one.settlement
    facts: dict[str, Any] = {"attempt": one.claim.attempt, "outcome": settled.outcome}
    if settled.state is not TaskState.COMPLETED:
        facts["message"] = settled.message
    if settled.run_at is not None:
        facts["run_at"] = settled.run_at
    if settled.hold is not None:
        facts |= {"hold": settled.hold, "hold_until": settled.hold_until}
    return facts
