"""The life of a task: every way it may change state, as a function named after the fact."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from orchestrator.domain.backoff import delay
from orchestrator.domain.errors import IllegalTransition
from orchestrator.domain.task import CLAIMED, Task, TaskState

MAX_LOSSES: Final = 3
"""Attempts in a row that may be lost with their worker before the task itself is suspected. The task that
kills its worker takes innocent ones with it; they lose their suspicion with the first attempt that ends."""

LOSS_BASE: Final = 2.0
"""Seconds to wait after the second loss in a row, doubling with each."""

_S = TaskState


@dataclass(frozen=True, kw_only=True, slots=True)
class Transition:
    """From which states a fact is legal, and to which it may lead."""

    sources: frozenset[TaskState]
    targets: frozenset[TaskState]
    meaning: str


def _from(*sources: TaskState, to: tuple[TaskState, ...], meaning: str) -> Transition:
    return Transition(sources=frozenset(sources), targets=frozenset(to), meaning=meaning)


TRANSITIONS: Final[Mapping[str, Transition]] = MappingProxyType(
    {
        "ready": _from(_S.DEFINED, to=(_S.READY,), meaning="its dependencies completed"),
        "block": _from(_S.DEFINED, to=(_S.BLOCKED,), meaning="a dependency failed or was cancelled"),
        "unblock": _from(_S.BLOCKED, to=(_S.DEFINED,), meaning="what it depends on is tried again"),
        "claim": _from(_S.READY, to=(_S.ASSIGNED,), meaning="a worker took it, with a lease"),
        "release": _from(_S.ASSIGNED, to=(_S.READY,), meaning="the worker gave it back unused"),
        "begin": _from(_S.ASSIGNED, to=(_S.IN_PROGRESS,), meaning="what it runs under is fixed and stored"),
        "settle": _from(
            *CLAIMED,
            to=(_S.COMPLETED, _S.FAILED, _S.READY, _S.WAITING_INPUT, _S.CANCELLED),
            meaning="the attempt ended, as its outcome says",
        ),
        "rescue": _from(
            *CLAIMED,
            to=(_S.READY, _S.BLOCKED, _S.CANCELLED),
            meaning="the lease ran out",
        ),
        "answer": _from(_S.WAITING_INPUT, to=(_S.READY,), meaning="a person answered the agent's question"),
        "lapse": _from(_S.WAITING_INPUT, to=(_S.FAILED,), meaning="nobody answered in time"),
        "pause": _from(
            _S.DEFINED, _S.READY, _S.WAITING_INPUT, to=(_S.PAUSED,), meaning="a person put it aside"
        ),
        "resume": _from(
            _S.PAUSED, to=(_S.READY, _S.DEFINED), meaning="a person took it up again, or its time came"
        ),
        "retry": _from(
            _S.FAILED,
            _S.CANCELLED,
            _S.BLOCKED,
            to=(_S.READY, _S.DEFINED),
            meaning="a person asked for another try, with fresh attempts",
        ),
        "cancel": _from(
            _S.DEFINED,
            _S.READY,
            _S.WAITING_INPUT,
            _S.PAUSED,
            _S.BLOCKED,
            to=(_S.CANCELLED,),
            meaning="a person cancelled it while nothing was running",
        ),
        "ask_cancel": _from(
            *CLAIMED,
            to=(_S.ASSIGNED, _S.IN_PROGRESS),
            meaning="a person cancelled it; the worker stops the agent and settles it",
        ),
    }
)
"""Every legal change of state. `docs/task-life.md` shows the same, and a test compares the two."""


def check(fact: str, task: Task, target: TaskState) -> None:
    """Raises IllegalTransition, naming what would be legal, unless `fact` may take `task` to `target`."""
    rule = TRANSITIONS[fact]
    if task.state not in rule.sources:
        legal = ", ".join(sorted(rule.sources))
        raise IllegalTransition(f"task {task.id} is {task.state}; {fact} needs one of: {legal}")
    if target not in rule.targets:
        legal = ", ".join(sorted(rule.targets))
        raise IllegalTransition(f"{fact} of task {task.id} cannot lead to {target}; it leads to: {legal}")


def ready(task: Task, *, now: float) -> Task:
    check("ready", task, _S.READY)
    return replace(task, state=_S.READY, updated_at=now)


def block(task: Task, *, now: float, message: str) -> Task:
    check("block", task, _S.BLOCKED)
    return replace(_unheld(task), state=_S.BLOCKED, result=message, updated_at=now)


def unblock(task: Task, *, now: float) -> Task:
    """Waits again, since no dependency stands failed any more."""
    check("unblock", task, _S.DEFINED)
    return replace(task, state=_S.DEFINED, result=None, updated_at=now)


def claim(task: Task, *, worker: str, now: float, lease_seconds: float) -> Task:
    """Taken: the attempt number grows, which outdates every claim made before."""
    check("claim", task, _S.ASSIGNED)
    return replace(
        _unheld(task),
        state=_S.ASSIGNED,
        attempt=task.attempt + 1,
        claimed_by=worker,
        lease_until=now + lease_seconds,
        updated_at=now,
    )


def release(task: Task, *, now: float) -> Task:
    """Given back before anything was started. The attempt number stays, so the old claim stays outdated."""
    check("release", task, _S.READY)
    return replace(_unclaimed(task), state=_S.READY, updated_at=now)


def begin(task: Task, *, now: float) -> Task:
    check("begin", task, _S.IN_PROGRESS)
    return replace(task, state=_S.IN_PROGRESS, updated_at=now)


def rescue(
    task: Task,
    *,
    now: float,
    losses: int,
    jitter: float,
    max_losses: int = MAX_LOSSES,
    session_id: str | None = None,
) -> Task:
    """Taken back from a worker that is gone.

    A worker's death is rarely the task's fault, so it uses no attempt; but `losses`, the attempts lost in a
    row with this one, reach `max_losses` when the task is what kills its workers, and then it is blocked.

    The session that it ran in goes on, but after the first loss only: it may be what kills the worker.
    """
    if task.cancel_requested:
        check("rescue", task, _S.CANCELLED)
        return replace(
            _unclaimed(task),
            state=_S.CANCELLED,
            result="Cancelled on request.",
            finished_at=now,
            updated_at=now,
        )
    if losses >= max_losses:
        check("rescue", task, _S.BLOCKED)
        message = (
            f"Its worker died {_times(losses)} while it ran, so it may be what kills it. Look at the "
            f"workers' logs and memory, then `orchestrator task retry {task.id}`."
        )
        return replace(_unclaimed(task), state=_S.BLOCKED, result=message, updated_at=now)
    check("rescue", task, _S.READY)
    later = None if losses <= 1 else now + delay(losses - 1, jitter=jitter, base=LOSS_BASE)
    session = session_id or task.session_id if losses <= 1 else None
    return replace(_unclaimed(task), state=_S.READY, run_at=later, session_id=session, updated_at=now)


def answer(task: Task, *, now: float) -> Task:
    """The next attempt goes on in the session that asked."""
    check("answer", task, _S.READY)
    return replace(task, state=_S.READY, run_at=None, result=None, answer_by=None, updated_at=now)


def lapse(task: Task, *, now: float) -> Task:
    """The time for an answer is over. The session is kept: a retry goes on in it."""
    check("lapse", task, _S.FAILED)
    message = (
        f"Nobody answered in time what its agent asked: {task.result or 'a question'} "
        f"`orchestrator task retry {task.id}` lets the agent go on without an answer."
    )
    return replace(task, state=_S.FAILED, result=message, answer_by=None, finished_at=now, updated_at=now)


def pause(task: Task, *, now: float, until: float | None = None) -> Task:
    """Put aside, until `until` when a time is given."""
    check("pause", task, _S.PAUSED)
    return replace(_unheld(task), state=_S.PAUSED, run_at=until, updated_at=now)


def resume(task: Task, *, now: float, dependencies_met: bool) -> Task:
    target = _S.READY if dependencies_met else _S.DEFINED
    check("resume", task, target)
    return replace(task, state=target, run_at=None, updated_at=now)


def retry(task: Task, *, now: float, dependencies_met: bool) -> Task:
    """Asked for again: all attempts are fresh, and the session goes on where one is known."""
    target = _S.READY if dependencies_met else _S.DEFINED
    check("retry", task, target)
    return replace(
        _unheld(task),
        state=target,
        failures=0,
        run_at=None,
        cancel_requested=False,
        result=None,
        finished_at=None,
        updated_at=now,
    )


def cancel(task: Task, *, now: float) -> Task:
    """Cancelled at once where nothing runs; otherwise asked for, and the worker's next heartbeat hears it."""
    if task.state in CLAIMED:
        check("ask_cancel", task, task.state)
        return replace(task, cancel_requested=True, updated_at=now)
    check("cancel", task, _S.CANCELLED)
    return replace(
        _unheld(task),
        state=_S.CANCELLED,
        cancel_requested=True,
        result="Cancelled on request.",
        finished_at=now,
        updated_at=now,
    )


def _times(losses: int) -> str:
    return "once" if losses == 1 else f"{losses} times in a row"


def _unclaimed(task: Task) -> Task:
    return replace(task, claimed_by=None, lease_until=None)


def _unheld(task: Task) -> Task:
    return replace(task, hold=None, hold_message=None, hold_until=None, answer_by=None)
