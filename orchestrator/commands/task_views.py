"""Commands that look at tasks: one, many, page by page."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.commands import checks
from orchestrator.commands.archive import kept_task
from orchestrator.commands.encoding import INLINE, OPTIONAL
from orchestrator.commands.projects import known_project
from orchestrator.commands.tasks import NamedTask, known_task
from orchestrator.commands.use import Use
from orchestrator.domain.attempt import Attempt
from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.question import Question
from orchestrator.domain.task import Task, TaskState
from orchestrator.store import archive, attempts, questions, tasks
from orchestrator.store.database import Transaction

PAGE: int = 500
"""Tasks of one page at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptSummary:
    number: int
    worker: str
    started_at: float
    ended_at: float | None
    outcome: str | None
    message: str | None
    profile_id: str | None
    rehearsal: bool
    cost_usd: float
    checkout: str | None = None
    """The directory it worked in; of a git repository, a worktree on the branch `orchestrator/<task>`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskDetails:
    """Every field of the task, what it depends on and its attempts."""

    task: Task = field(metadata=INLINE)
    depends_on: tuple[str, ...]
    attempts: tuple[AttemptSummary, ...]
    questions: tuple[Question, ...] = field(default=(), metadata=OPTIONAL)
    """What its agents asked, and the answers."""
    archived_at: float | None = field(default=None, metadata=OPTIONAL)
    """When it was moved to the archive; it can be looked at, and no longer changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListTasks:
    project_id: str | None = None
    states: tuple[TaskState, ...] = ()
    profile_id: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    parent_id: str | None = None
    """Those that the agents of this task asked for; an agent sees no others than its own."""
    schedule_id: str | None = None
    """Those that this schedule made; it may be there no more."""
    before: str | None = None
    """`next` of the page before."""
    archived: bool = False
    """Those of the archive, in place of those that are not in it."""
    limit: int = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRow:
    """A task without its prompt and result, which may be long."""

    id: str
    project_id: str
    title: str
    state: TaskState
    profile_id: str | None
    priority: int
    attempt: int
    hold: str | None
    run_at: float | None
    labels: Mapping[str, str]
    created_at: float
    finished_at: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskPage:
    tasks: tuple[TaskRow, ...]
    count: int
    next: str | None
    """Give it as `before` for the tasks that follow; null on the last page."""


async def get_task(use: Use, request: NamedTask) -> TaskDetails:
    """Show a task and its attempts."""

    def read(tx: Transaction) -> TaskDetails:
        task = kept_task(tx, request.task_id, caller=use.caller)
        return TaskDetails(
            task=task,
            depends_on=tuple(tasks.dependencies(tx, task.id)),
            attempts=tuple(map(_summary, attempts.of_task(tx, task.id))),
            questions=tuple(questions.of_task(tx, task.id)),
            archived_at=archive.archived_at(tx, task.id),
        )

    return await use.database.read(read)


async def list_tasks(use: Use, request: ListTasks) -> TaskPage:
    """List tasks, newest first, page by page."""
    if not 1 <= request.limit <= PAGE:
        raise InvalidInput(f"limit must be between 1 and {PAGE}, got {request.limit}", field="limit")
    if request.profile_id is not None:
        checks.check_id(request.profile_id, "profile_id")

    def read(tx: Transaction) -> list[Task]:
        parent_id = _parent(tx, use, request)
        if request.project_id is not None:
            known_project(tx, request.project_id)
        return tasks.list_tasks(
            tx,
            project_id=request.project_id,
            states=request.states,
            profile_id=request.profile_id,
            labels=request.labels,
            parent_id=parent_id,
            schedule_id=request.schedule_id,
            before=_before(tx, use, request),
            archived=request.archived,
            limit=request.limit + 1,
        )

    found = await use.database.read(read)
    page = found[: request.limit]
    return TaskPage(
        tasks=tuple(map(_row, page)),
        count=len(page),
        next=page[-1].id if len(found) > len(page) else None,
    )


def _parent(tx: Transaction, use: Use, request: ListTasks) -> str | None:
    if use.caller.agent is not None:
        return use.caller.agent.task_id
    return None if request.parent_id is None else known_task(tx, request.parent_id, "parent_id").id


def _before(tx: Transaction, use: Use, request: ListTasks) -> str | None:
    if request.before is None:
        return None
    known = kept_task if request.archived else known_task
    return known(tx, request.before, "before", caller=use.caller).id


def _row(task: Task) -> TaskRow:
    return TaskRow(
        id=task.id,
        project_id=task.project_id,
        title=task.title,
        state=task.state,
        profile_id=task.profile_id,
        priority=task.priority,
        attempt=task.attempt,
        hold=task.hold,
        run_at=task.run_at,
        labels=task.labels,
        created_at=task.created_at,
        finished_at=task.finished_at,
    )


def _summary(attempt: Attempt) -> AttemptSummary:
    under = attempt.snapshot
    return AttemptSummary(
        number=attempt.number,
        worker=attempt.worker,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        outcome=attempt.outcome,
        message=attempt.message,
        profile_id=under.profile_id if under else None,
        rehearsal=under.rehearsal if under else False,
        cost_usd=attempt.usage.cost_usd,
        checkout=under.checkout if under else None,
    )
