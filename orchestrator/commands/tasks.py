"""Commands that change tasks: create, edit, cancel, retry."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.commands import checks, ids
from orchestrator.commands.command import UNCHANGED, Unchanged, changed
from orchestrator.commands.encoding import OPTIONAL
from orchestrator.commands.projects import known_profile, known_project, only_project
from orchestrator.commands.subtasks import confined, is_own
from orchestrator.commands.use import Caller, Use
from orchestrator.domain.errors import Conflict, InvalidInput, NotFound
from orchestrator.domain.task import CLAIMED, TERMINAL, NewTask, Task, TaskState
from orchestrator.store import archive, tasks
from orchestrator.store.database import Transaction


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateTask:
    """What an agent asks for runs under the agent's own profile, or one that grants nothing more."""

    project_id: str | None = None
    """Absent: the only project there is; for an agent, its own."""
    title: str | None = None
    """Absent: the beginning of the prompt."""
    prompt: str | None = None
    """Absent: the title."""
    profile_id: str | None = None
    priority: int = 100
    depends_on: tuple[str, ...] = ()
    run_at: float | None = None
    max_attempts: int = 3
    timeout_seconds: float | None = None
    max_budget_usd: float | None = None
    """For all its attempts together, like `max_tokens`."""
    max_tokens: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    """Labels that a worker must have to take it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskCreated:
    created: str
    title: str
    project_id: str
    profile_id: str | None
    state: TaskState
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class EditTask:
    task_id: str
    title: str | Unchanged = UNCHANGED
    prompt: str | Unchanged = UNCHANGED
    profile_id: str | Unchanged | None = UNCHANGED
    priority: int | Unchanged = UNCHANGED
    depends_on: tuple[str, ...] | Unchanged = UNCHANGED
    run_at: float | Unchanged | None = UNCHANGED
    max_attempts: int | Unchanged = UNCHANGED
    timeout_seconds: float | Unchanged | None = UNCHANGED
    max_budget_usd: float | Unchanged | None = UNCHANGED
    max_tokens: int | Unchanged | None = UNCHANGED
    labels: Mapping[str, str] | Unchanged = UNCHANGED
    requires: tuple[str, ...] | Unchanged = UNCHANGED


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskUpdated:
    updated: str
    fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedTask:
    """A request about one task, by its id or at least four characters of its beginning or end."""

    task_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskMoved:
    task_id: str
    state: TaskState
    cancel_requested: bool


async def create_task(use: Use, request: CreateTask) -> TaskCreated:
    """Ask for a task."""
    now = use.clock()
    title, prompt = named(request.title, request.prompt)
    wanted = NewTask(
        project_id=request.project_id or "",
        title=title,
        prompt=prompt,
        profile_id=request.profile_id,
        priority=request.priority,
        depends_on=request.depends_on,
        run_at=request.run_at,
        max_attempts=request.max_attempts,
        timeout_seconds=request.timeout_seconds,
        max_budget_usd=request.max_budget_usd,
        max_tokens=request.max_tokens,
        labels=checks.check_labels(request.labels),
        requires=checks.check_requires(request.requires),
    )
    _check_numbers(wanted)
    task_id = ids.new_id(now, use.random())

    agent = use.caller.agent
    project_id = request.project_id or (agent.project_id if agent else None)

    def write(tx: Transaction) -> tuple[Task, bool]:
        project = only_project(tx) if project_id is None else known_project(tx, project_id)
        known_profile(tx, wanted.profile_id, "profile_id")
        needs = tuple(known_task(tx, one, "depends_on", caller=use.caller).id for one in wanted.depends_on)
        new = replace(wanted, project_id=project.id, depends_on=needs)
        if agent is not None:
            new = confined(tx, use, agent, new)
        return tasks.create(tx, new, task_id=task_id, now=now), project.paused

    task, paused = await use.database.run(write)
    return TaskCreated(
        created=task.id,
        title=task.title,
        project_id=task.project_id,
        profile_id=task.profile_id,
        state=task.state,
        warnings=(f"project {task.project_id} is paused",) if paused else (),
    )


async def edit_task(use: Use, request: EditTask) -> TaskUpdated:
    """Change a task that has not ended; `profile_id: null` clears it. A running attempt keeps what it has."""
    fields = changed(
        title=request.title,
        prompt=request.prompt,
        profile_id=request.profile_id,
        priority=request.priority,
        depends_on=request.depends_on,
        run_at=request.run_at,
        max_attempts=request.max_attempts,
        timeout_seconds=request.timeout_seconds,
        max_budget_usd=request.max_budget_usd,
        max_tokens=request.max_tokens,
        labels=request.labels,
        requires=request.requires,
    )
    if not fields:
        raise InvalidInput("No fields to update")
    check_fields(fields)
    now = use.clock()

    def write(tx: Transaction) -> Task:
        task = known_task(tx, request.task_id)
        _check_editable(task, fields)
        if "profile_id" in fields:
            known_profile(tx, fields["profile_id"], "profile_id")
        needs = [known_task(tx, needed, "depends_on").id for needed in fields.get("depends_on", ())]
        exact = {**fields, "depends_on": tuple(needs)} if "depends_on" in fields else fields
        return tasks.edit(tx, task, exact, now=now)

    task = await use.database.run(write)
    return TaskUpdated(updated=task.id, fields=tuple(sorted(fields)))


async def cancel_task(use: Use, request: NamedTask) -> TaskMoved:
    """Cancel a task; when an agent runs, its worker stops it and settles the task."""
    now = use.clock()

    def write(tx: Transaction) -> Task:
        return tasks.cancel(tx, known_task(tx, request.task_id).id, now=now)

    return _moved(await use.database.run(write))


async def retry_task(use: Use, request: NamedTask) -> TaskMoved:
    """Try a task again that failed, was cancelled or is blocked, with fresh attempts."""
    now = use.clock()

    def write(tx: Transaction) -> Task:
        return tasks.retry(tx, known_task(tx, request.task_id).id, now=now)

    return _moved(await use.database.run(write))


def known_task(tx: Transaction, text: str, field: str = "task_id", *, caller: Caller | None = None) -> Task:
    """The task with this id, or the only one whose id begins or ends so. For an agent there is nothing but
    the task it works on and those it asked for, by their whole ids.
    Raises NotFound, or InvalidInput naming the candidates when there are several."""
    wanted = ids.fragment(text, field=field)
    found = [wanted] if len(wanted) == ids.LENGTH else tasks.find_ids(tx, wanted, limit=6)
    if caller is not None and caller.agent is not None:
        agent = caller.agent
        found = [one for one in (text,) if is_own(tx, agent, one)]
    if len(found) > 1:
        raise InvalidInput(
            f"{field} {text!r} fits several tasks: {', '.join(found)}; give more characters", field=field
        )
    task = tasks.get(tx, found[0]) if found else None
    if task is None and (caller is None or caller.agent is None) and archive.get(tx, wanted) is not None:
        raise Conflict(f"task {wanted} was archived: it can be looked at, and no longer changed", field=field)
    if task is None:
        raise NotFound(f"task {text} not found; `orchestrator task list` shows those there are", field=field)
    return task


def named(title: str | None, prompt: str | None) -> tuple[str, str]:
    """Title and prompt, either from the other where it is missing."""
    if title is None and prompt is None:
        raise InvalidInput("a task needs a prompt or a title", field="prompt")
    if prompt is None:
        prompt = title or ""
    checked = checks.check_prompt(prompt)
    if title is None:
        first = " ".join(checked.strip().partition("\n")[0][:400].split())
        title = first if len(first) <= 80 else f"{first[:79]}…"
    return checks.check_title(title), checked


def _check_numbers(task: NewTask) -> None:
    check_fields(
        {
            "priority": task.priority,
            "max_attempts": task.max_attempts,
            "timeout_seconds": task.timeout_seconds,
            "max_budget_usd": task.max_budget_usd,
            "max_tokens": task.max_tokens,
            "run_at": task.run_at,
        }
    )


def check_fields(fields: dict[str, Any]) -> None:
    """Checks what is there, in place: titles are tidied."""
    if "title" in fields:
        fields["title"] = checks.check_title(fields["title"])
    if "prompt" in fields:
        checks.check_prompt(fields["prompt"])
    if "labels" in fields:
        fields["labels"] = checks.check_labels(fields["labels"])
    if "requires" in fields:
        fields["requires"] = checks.check_requires(fields["requires"])
    checks.check_number(fields.get("max_tokens"), "max_tokens", most=checks.TOKENS)
    checks.check_number(fields.get("priority"), "priority", least=-checks.PRIORITY, most=checks.PRIORITY)
    checks.check_number(fields.get("max_attempts", 1), "max_attempts", least=1, most=checks.ATTEMPTS)
    checks.check_number(fields.get("timeout_seconds"), "timeout_seconds")
    checks.check_number(fields.get("max_budget_usd"), "max_budget_usd")
    checks.check_number(fields.get("run_at"), "run_at", least=0, most=checks.LATEST)


def _check_editable(task: Task, fields: Mapping[str, Any]) -> None:
    if task.state in TERMINAL:
        raise Conflict(f"task {task.id} is {task.state}; retry it first, or ask for a new one")
    if task.state in CLAIMED and (fixed := sorted({"prompt", "depends_on"} & fields.keys())):
        raise Conflict(f"task {task.id} is {task.state}; {' and '.join(fixed)} cannot change while it runs")


def _moved(task: Task) -> TaskMoved:
    return TaskMoved(task_id=task.id, state=task.state, cancel_requested=task.cancel_requested)
