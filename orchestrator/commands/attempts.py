"""Commands that look at attempts: what one ran under, and what its agent said."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.commands.archive import kept_task
from orchestrator.commands.encoding import INLINE
from orchestrator.commands.use import Use
from orchestrator.domain.attempt import AgentMessage, Attempt
from orchestrator.domain.errors import InvalidInput, NotFound
from orchestrator.domain.task import Task, TaskState
from orchestrator.store import attempts
from orchestrator.store.database import Transaction

BATCH: int = 1000
"""Messages of one answer at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GetAttempt:
    task_id: str
    number: int | None = None
    """Absent: the latest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptDetails:
    attempt: Attempt = field(metadata=INLINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadMessages:
    task_id: str
    number: int | None = None
    """Absent: the latest attempt."""
    after: int = -1
    """Messages with a greater sequence number only; to follow, give `last` of the answer before."""
    limit: int = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Messages:
    task_id: str
    number: int | None
    """The attempt they are of; null before the first one."""
    state: TaskState
    """Of the task, read together with the messages."""
    messages: tuple[AgentMessage, ...]
    last: int
    rehearsal: bool
    """Whether the attempt is answered from a script."""
    latest: int | None
    """Number of the task's latest attempt."""
    ended: bool
    """Whether the attempt has ended and these are its last messages."""


async def get_attempt(use: Use, request: GetAttempt) -> AttemptDetails:
    """Show what an attempt ran under, how each layer of enforcement held, and how it ended."""

    def read(tx: Transaction) -> AttemptDetails:
        task = kept_task(tx, request.task_id)
        attempt = _chosen(attempts.of_task(tx, task.id), task, request.number)
        if attempt is None:
            raise NotFound(f"attempt not found: task {task.id} has had none", field="number")
        return AttemptDetails(attempt=attempt)

    return await use.database.read(read)


async def attempt_messages(use: Use, request: ReadMessages) -> Messages:
    """Read what the agent said, from a sequence number on."""
    if not 1 <= request.limit <= BATCH:
        raise InvalidInput(f"limit must be between 1 and {BATCH}, got {request.limit}", field="limit")

    def read(tx: Transaction) -> Messages:
        task = kept_task(tx, request.task_id)
        tried = attempts.of_task(tx, task.id)
        attempt = _chosen(tried, task, request.number)
        if attempt is None:
            found = []
        else:
            found = attempts.messages(tx, task.id, attempt.number, after=request.after, limit=request.limit)
        return Messages(
            task_id=task.id,
            number=attempt.number if attempt else None,
            state=task.state,
            messages=tuple(found),
            last=found[-1].sequence if found else request.after,
            rehearsal=attempt is not None and attempt.snapshot is not None and attempt.snapshot.rehearsal,
            latest=tried[-1].number if tried else None,
            ended=attempt is not None and attempt.ended_at is not None and len(found) < request.limit,
        )

    return await use.database.read(read)


def _chosen(tried: Sequence[Attempt], task: Task, number: int | None) -> Attempt | None:
    """The attempt asked for; without a number the latest, if any. Raises NotFound."""
    if number is None:
        return tried[-1] if tried else None
    for attempt in tried:
        if attempt.number == number:
            return attempt
    raise NotFound(f"attempt {number} of task {task.id} not found", field="number")
