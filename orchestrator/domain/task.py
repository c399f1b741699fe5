"""A task, the states of its life and the facts that move it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class TaskState(StrEnum):
    DEFINED = "DEFINED"
    """Known, but its dependencies have not all completed, or its time has not come."""
    READY = "READY"
    ASSIGNED = "ASSIGNED"
    """Claimed by a worker; no attempt has begun."""
    IN_PROGRESS = "IN_PROGRESS"
    WAITING_INPUT = "WAITING_INPUT"
    """The agent asked a question and gave its slot back."""
    PAUSED = "PAUSED"
    """Put aside by a person, or until `resume_after`."""
    BLOCKED = "BLOCKED"
    """A dependency failed or was cancelled, or its attempts kept killing the worker."""
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


TERMINAL: Final = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED})
CLAIMED: Final = frozenset({TaskState.ASSIGNED, TaskState.IN_PROGRESS})


@dataclass(frozen=True, kw_only=True, slots=True)
class NewTask:
    """What someone asks for. Times are Unix seconds; a lower priority number goes first."""

    project_id: str
    title: str
    prompt: str
    profile_id: str | None = None
    priority: int = 100
    depends_on: tuple[str, ...] = ()
    run_at: float | None = None
    max_attempts: int = 3
    timeout_seconds: float | None = None
    max_budget_usd: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    """Labels that a worker must have to take it."""
    max_tokens: int | None = None
    """Tokens of all its attempts together."""
    parent_id: str | None = None
    """The task whose agent asks for it; `None` when a person does."""
    parent_attempt: int | None = None
    schedule_id: str | None = None
    scheduled_for: float | None = None
    """The occurrence of that schedule; `None` when a person made it run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A task as the database holds it."""

    id: str
    project_id: str
    title: str
    prompt: str
    state: TaskState
    created_at: float
    updated_at: float
    profile_id: str | None = None
    priority: int = 100
    run_at: float | None = None
    """Not before this time: asked for, or the backoff after a failure."""
    attempt: int = 0
    """Number of the latest attempt; the fence of every write made under a lease."""
    failures: int = 0
    """Attempts used up. Snoozes and interruptions use none."""
    max_attempts: int = 3
    timeout_seconds: float | None = None
    max_budget_usd: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    hold: str | None = None
    """Why it cannot start now (`profile_missing`, `checkout_busy`, ...); the task stays READY."""
    hold_message: str | None = None
    hold_until: float | None = None
    claimed_by: str | None = None
    lease_until: float | None = None
    cancel_requested: bool = False
    session_id: str | None = None
    """The agent session to resume, when the next attempt should go on where the last one stopped."""
    result: str | None = None
    """The agent's final answer, or the message that says why it ended otherwise."""
    finished_at: float | None = None
    parent_id: str | None = None
    """The task whose agent asked for this one."""
    schedule_id: str | None = None
    """The schedule that made it."""
    scheduled_for: float | None = None
    """Which occurrence of it, jitter not counted; `None` when a person made the schedule run."""
    requires: tuple[str, ...] = ()
    """Labels that a worker must have to take it, sorted."""
    max_tokens: int | None = None
    """Tokens of all its attempts together; `max_budget_usd` is the same in USD."""
    parent_attempt: int | None = None
    """The attempt at `parent_id` whose agent asked for it: it never runs wider than that one did. `None`
    when a person asked, or has named its profile since."""
    answer_by: float | None = None
    """Until when it waits for an answer; `None` while it waits for none, and where it waits without end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A taken task and the time-limited right to work on it."""

    task: Task
    worker: str
    attempt: int
    lease_until: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """The single write that records how an attempt ended; see `settle`."""

    state: TaskState
    outcome: str
    """Name of the outcome, such as `completed` or `rate_limited`."""
    message: str
    used_attempt: bool
    """Whether this attempt counts against `max_attempts`."""
    run_at: float | None = None
    hold: str | None = None
    hold_until: float | None = None
    session_id: str | None = None
    answer_seconds: float | None = None
    """How long an answer is waited for; `None`: without end."""
    cost_usd: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)
