"""What an attempt's outcome means for its task: done, retry, snooze, hold or give up."""

from dataclasses import dataclass, replace
from typing import Final, assert_never

from orchestrator.domain.backoff import delay
from orchestrator.domain.lifecycle import check
from orchestrator.domain.outcome import (
    ApiFailed,
    Asked,
    AuthenticationFailed,
    BudgetSpent,
    Cancelled,
    Completed,
    Crashed,
    Held,
    Hung,
    Interrupted,
    Killed,
    ModelRefused,
    NotHere,
    NotStarted,
    Outcome,
    Overloaded,
    RateLimited,
    ServerMissing,
    ToolSurplus,
    TurnLimitReached,
    WorkerFault,
)
from orchestrator.domain.task import TERMINAL, Settlement, Task, TaskState

RECHECK_BASE: Final = 60.0
RECHECK_CAP: Final = 900.0
"""Seconds until a held task is looked at again unasked: often enough that a corrected credential is noticed
within a quarter of an hour, seldom enough that a wrong one is not tried a thousand times a night."""

RESET_SPREAD: Final = 30.0
"""Seconds over which tasks come back after a rate limit is lifted, so that they do not hit it together."""

RESET_LIMIT: Final = 8 * 86400.0
"""Longest wait a provider can impose; the longest limits known are weekly, so beyond is a wrong unit."""

RETRIED_STATUS: Final = frozenset({408, 409, 425})
"""Client errors that say "again", next to every status from 500 on and a failure without any status."""


def settle(
    task: Task, outcome: Outcome, *, now: float, jitter: float, answer_seconds: float | None = None
) -> Settlement:
    """The single write that records how the current attempt of `task` ended.

    `jitter` is in [0, 1). `answer_seconds` is how long the answer to a question is waited for. `session_id`
    of the result is the session that the next attempt goes on with, `None` where it starts afresh. A cancel
    that was asked for meanwhile wins over every further try.
    Raises IllegalTransition when the task is not claimed.
    """
    result = _decide(task, outcome, now=now, jitter=jitter)
    if task.cancel_requested and result.state not in TERMINAL:
        result = _ended(TaskState.CANCELLED, Cancelled.kind, Cancelled().message)
    if result.state is TaskState.WAITING_INPUT:
        result = replace(result, answer_seconds=answer_seconds)
    check("settle", task, result.state)
    return result


def _decide(task: Task, outcome: Outcome, *, now: float, jitter: float) -> Settlement:
    turn = _Turn(task=task, kind=outcome.kind, now=now, jitter=jitter)
    match outcome:
        case Completed():
            return _ended(TaskState.COMPLETED, outcome.kind, outcome.answer, used=True)
        case Cancelled():
            return _ended(TaskState.CANCELLED, outcome.kind, outcome.message)
        case Asked():
            return _waiting(task, outcome)
        case Interrupted() | NotHere():
            return turn.snooze(outcome.message, until=None)
        case RateLimited():
            return turn.snooze(outcome.message, until=turn.after_reset(outcome.reset_at))
        case Held():
            return turn.hold(outcome.reason, outcome.message)
        case AuthenticationFailed():
            return turn.hold("authentication", outcome.message)
        case NotStarted():
            return turn.hold("start_refused", outcome.message)
        case Overloaded():
            return turn.again(outcome.message, same_session=True)
        case ApiFailed():
            if outcome.status is None or outcome.status >= 500 or outcome.status in RETRIED_STATUS:
                return turn.again(outcome.message, same_session=True)
            return turn.give_up(outcome.message)
        case Crashed() | Killed() | Hung() | ServerMissing() | WorkerFault():
            return turn.again(outcome.message, same_session=False)
        case TurnLimitReached() | BudgetSpent():
            return replace(turn.give_up(outcome.message), session_id=task.session_id)
        case ModelRefused() | ToolSurplus():
            return turn.give_up(outcome.message)
        case _:
            assert_never(outcome)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Turn:
    """What every decision needs: the task, how its attempt ended, when, and a random number."""

    task: Task
    kind: str
    now: float
    jitter: float

    def again(self, message: str, *, same_session: bool) -> Settlement:
        """Another try after a pause that doubles; the last of `max_attempts` gives up.

        What the service broke goes on in the same session. What broke on our side starts afresh, since the
        session may be what broke it.
        """
        used = self.task.failures + 1
        if used >= self.task.max_attempts:
            tries = "its only attempt" if used == 1 else f"{used} attempts"
            return self.give_up(f"Gave up after {tries}. {message}")
        return Settlement(
            state=TaskState.READY,
            outcome=self.kind,
            message=message,
            used_attempt=True,
            run_at=self.now + delay(used, jitter=self.jitter),
            session_id=self.task.session_id if same_session else None,
        )

    def give_up(self, message: str) -> Settlement:
        way_out = f" When that is corrected: `orchestrator task retry {self.task.id}`."
        return _ended(TaskState.FAILED, self.kind, message.rstrip() + way_out, used=True)

    def snooze(self, message: str, *, until: float | None) -> Settlement:
        """Put off without using up an attempt; the session goes on."""
        return Settlement(
            state=TaskState.READY,
            outcome=self.kind,
            message=message,
            used_attempt=False,
            run_at=until,
            session_id=self.task.session_id,
        )

    def hold(self, reason: str, message: str) -> Settlement:
        """Put off until what is wrong is corrected; looked at again unasked, more and more seldom."""
        wait = delay(self._unused() + 1, jitter=self.jitter, base=RECHECK_BASE, cap=RECHECK_CAP)
        return Settlement(
            state=TaskState.READY,
            outcome=self.kind,
            message=message,
            used_attempt=False,
            hold=reason,
            hold_until=self.now + wait,
            session_id=self.task.session_id,
        )

    def after_reset(self, reset_at: float | None) -> float:
        """When to come back after a rate limit: when it is lifted, or by guess when nobody says when."""
        if reset_at is None or reset_at > self.now + RESET_LIMIT:
            return self.now + delay(
                self._unused() + 1, jitter=self.jitter, base=RECHECK_BASE, cap=RECHECK_CAP
            )
        return max(reset_at, self.now) + 1.0 + self.jitter * RESET_SPREAD

    def _unused(self) -> int:
        """Attempts before this one that were put off rather than failed."""
        return max(self.task.attempt - self.task.failures - 1, 0)


def _ended(state: TaskState, kind: str, message: str, *, used: bool = False) -> Settlement:
    return Settlement(state=state, outcome=kind, message=message, used_attempt=used)


def _waiting(task: Task, outcome: Asked) -> Settlement:
    return Settlement(
        state=TaskState.WAITING_INPUT,
        outcome=outcome.kind,
        message=outcome.question,
        used_attempt=False,
        session_id=task.session_id,
    )
