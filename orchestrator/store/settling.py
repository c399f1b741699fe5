"""Settling: the single write that records how attempts ended."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, text, update

from orchestrator.domain.ending import Ending
from orchestrator.domain.event import Event
from orchestrator.domain.outcome import Cancelled
from orchestrator.domain.task import CLAIMED, TERMINAL, Settlement, TaskState
from orchestrator.store import dependencies
from orchestrator.store.outbox import announce, mark_changed
from orchestrator.store.queue import AMONG, among, fence
from orchestrator.store.tables import attempts, tasks

_STILL_HELD: Final = {
    dialect: select(tasks.c.id, tasks.c.attempt, tasks.c.cancel_requested)
    .where(text(f"id {among_ids}"), tasks.c.claimed_by == bindparam("worker"))
    .where(tasks.c.state.in_([state.value for state in sorted(CLAIMED)]))
    .order_by(tasks.c.id)
    .with_for_update()
    for dialect, among_ids in AMONG.items()
}

_SETTLE_TASK: Final = (
    update(tasks)
    .where(
        tasks.c.id == bindparam("b_id"),
        tasks.c.claimed_by == bindparam("b_worker"),
        tasks.c.attempt == bindparam("b_attempt"),
    )
    .values(
        state=bindparam("b_state"),
        failures=tasks.c.failures + bindparam("b_used"),
        run_at=bindparam("b_run_at"),
        hold=bindparam("b_hold"),
        hold_message=bindparam("b_hold_message"),
        hold_until=bindparam("b_hold_until"),
        session_id=bindparam("b_session"),
        result=bindparam("b_result"),
        finished_at=bindparam("b_finished"),
        claimed_by=None,
        lease_until=None,
        updated_at=bindparam("b_now"),
    )
)

_END_ATTEMPT: Final = (
    update(attempts)
    .where(
        attempts.c.task_id == bindparam("b_id"),
        attempts.c.number == bindparam("b_attempt"),
        attempts.c.worker == bindparam("b_worker"),
    )
    .values(
        ended_at=bindparam("b_now"),
        outcome=bindparam("b_outcome"),
        message=bindparam("b_message"),
        session_id=bindparam("b_attempt_session"),
        enforcement=bindparam("b_enforcement"),
        cost_usd=bindparam("b_cost"),
        input_tokens=bindparam("b_input"),
        output_tokens=bindparam("b_output"),
        cache_read_tokens=bindparam("b_cache_read"),
        cache_creation_tokens=bindparam("b_cache_creation"),
        turns=bindparam("b_turns"),
    )
)


def settle(tx: Connection, endings: Sequence[Ending], *, worker: str, now: float) -> list[Ending]:
    """Record how these attempts of `worker` ended, and announce it. Returns those that were recorded: the
    others had lost their lease, and nothing of them is written."""
    if not endings:
        return []
    values = {"ids": among(tx, (one.claim.task.id for one in endings)), "worker": worker}
    held = {(row[0], row[1]): bool(row[2]) for row in tx.execute(_STILL_HELD[tx.dialect.name], values)}
    recorded = [
        replace(one, settlement=_as_asked(one.settlement, cancel=held[one.claim.task.id, one.claim.attempt]))
        for one in endings
        if (one.claim.task.id, one.claim.attempt) in held
    ]
    if recorded:
        tx.execute(_SETTLE_TASK, [_task_values(one, now) for one in recorded])
        tx.execute(_END_ATTEMPT, [_attempt_values(one, now) for one in recorded])
        announce(tx, *(fact for one in recorded for fact in _facts(one, now)))
        over = [one.claim.task.id for one in recorded if one.settlement.state in TERMINAL]
        dependencies.after_ending(tx, over, now=now)
        if any(one.settlement.state is TaskState.READY for one in recorded):
            mark_changed(tx)
    return recorded


def _as_asked(settlement: Settlement, *, cancel: bool) -> Settlement:
    """A cancel asked for while the attempt ended wins over every further try, never over a result."""
    if not cancel or settlement.state in TERMINAL:
        return settlement
    asked = Cancelled()
    return Settlement(
        state=TaskState.CANCELLED,
        outcome=asked.kind,
        message=asked.message,
        used_attempt=settlement.used_attempt,
        cost_usd=settlement.cost_usd,
        details=settlement.details,
    )


def _task_values(one: Ending, now: float) -> dict[str, Any]:
    settled = one.settlement
    over = settled.state in TERMINAL
    return {
        **fence(one.claim),
        "b_state": settled.state.value,
        "b_used": int(settled.used_attempt),
        "b_run_at": settled.run_at,
        "b_hold": settled.hold,
        "b_hold_message": settled.message if settled.hold else None,
        "b_hold_until": settled.hold_until,
        "b_session": settled.session_id,
        "b_result": settled.message,
        "b_finished": now if over else None,
        "b_now": now,
    }


def _attempt_values(one: Ending, now: float) -> dict[str, Any]:
    return {
        **fence(one.claim),
        "b_now": now,
        "b_outcome": one.settlement.outcome,
        "b_message": one.settlement.message,
        "b_attempt_session": one.session_id,
        "b_enforcement": dict(one.enforcement),
        "b_cost": one.usage.cost_usd,
        "b_input": one.usage.input_tokens,
        "b_output": one.usage.output_tokens,
        "b_cache_read": one.usage.cache_read_tokens,
        "b_cache_creation": one.usage.cache_creation_tokens,
        "b_turns": one.usage.turns,
    }


def _facts(one: Ending, now: float) -> tuple[Event, Event]:
    task, settled = one.claim.task, one.settlement
    ended = {
        "attempt": one.claim.attempt,
        "outcome": settled.outcome,
        "cost_usd": one.usage.cost_usd,
        "turns": one.usage.turns,
        "counted": settled.used_attempt,
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
