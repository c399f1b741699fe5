"""The command that archives tasks, and where tasks are found that were archived."""

from dataclasses import dataclass, field, replace
from typing import Final

from orchestrator.commands import checks, ids
from orchestrator.commands.encoding import OPTIONAL
from orchestrator.commands.projects import known_project
from orchestrator.commands.tasks import known_task
from orchestrator.commands.use import Caller, Use
from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.task import TERMINAL, Task, TaskState
from orchestrator.store import archive, tasks
from orchestrator.store.archive import Chosen
from orchestrator.store.database import Transaction

SHOWN: Final = 100
"""Ids that an answer names at most; it counts all of them."""
LOOKED_UP: Final = 2000
"""Ids found at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveTasks:
    """What is given must all hold; at least one of the four is."""

    states: tuple[TaskState, ...] = ()
    older_than_seconds: float | None = None
    """Those that ended so long ago."""
    project_id: str | None = None
    task_ids: tuple[str, ...] = ()
    dry_run: bool = False
    """Change nothing; say what would be archived."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TasksArchived:
    """`kept` fit as well and stay, since a task that has not ended waits for them or asked for them."""

    archived: int
    kept: int
    dry_run: bool
    task_ids: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    """The first hundred of them, the oldest first."""


async def archive_tasks(use: Use, request: ArchiveTasks) -> TasksArchived:
    """Move ended tasks to the archive, where they can be looked at but no longer changed."""
    now = use.clock()
    chosen = await use.database.read(_chosen, request, now)
    if request.dry_run:
        total = await use.database.read(archive.count_due, chosen)
        first = await use.database.read(lambda tx: archive.due(tx, chosen, limit=SHOWN))
    else:
        moved = await _archive(use, chosen, now)
        total, first = len(moved), moved[:SHOWN]
    kept = await use.database.read(archive.count_needed, chosen)
    return TasksArchived(archived=total, kept=kept, dry_run=request.dry_run, task_ids=tuple(first))


async def _archive(use: Use, chosen: Chosen, now: float) -> list[str]:
    """Found on a reader, moved by id, so that the writer is held for a moment only at a time."""
    moved: list[str] = []
    while due := await use.database.read(lambda tx: archive.due(tx, chosen, limit=LOOKED_UP)):
        before = len(moved)
        for start in range(0, len(due), archive.BATCH):
            some = replace(chosen, ids=due[start : start + archive.BATCH])
            moved += [task.id for task in await use.database.run(archive.archive, some, now=now)]
        if len(moved) == before:
            break
    return moved


def kept_task(tx: Transaction, text: str, field: str = "task_id", *, caller: Caller | None = None) -> Task:
    """As `known_task`, for looking at it: where no other task fits, one of the archive is found too. Agents
    see none of the archive. Raises NotFound, or InvalidInput naming the candidates when there are several."""
    wanted = ids.fragment(text, field=field)
    whole = len(wanted) == ids.LENGTH
    if caller is None or caller.agent is None:
        known = tasks.get(tx, wanted) if whole else tasks.find_ids(tx, wanted, limit=1)
        found = [] if known else [wanted] if whole else archive.find_ids(tx, wanted, limit=6)
        if len(found) > 1:
            raise InvalidInput(
                f"{field} {text!r} fits several archived tasks: {', '.join(found)}; give more characters",
                field=field,
            )
        if found and (task := archive.get(tx, found[0])) is not None:
            return task
    return known_task(tx, text, field, caller=caller)


def _chosen(tx: Transaction, request: ArchiveTasks, now: float) -> Chosen:
    """The request, checked. Raises InvalidInput or NotFound."""
    age = request.older_than_seconds
    if not (request.states or request.task_ids or request.project_id is not None or age is not None):
        raise InvalidInput("say which: states, older_than_seconds, project_id or task_ids")
    checks.check_number(age, "older_than_seconds", least=0, most=checks.LATEST)
    for state in request.states:
        if state not in TERMINAL:
            ended = ", ".join(sorted(TERMINAL))
            raise InvalidInput(f"states: {state} is no end; a task ends as one of {ended}", field="states")
    if request.project_id is not None:
        known_project(tx, request.project_id)
    named = tuple(known_task(tx, one, "task_ids") for one in request.task_ids)
    for task in named:
        if task.state not in TERMINAL:
            raise InvalidInput(f"task {task.id} is {task.state}, and has not ended", field="task_ids")
    return Chosen(
        # Without an age whatever has ended by now; clocks of other hosts may be a little ahead.
        ended_by=now + 60.0 if age is None else now - age,
        states=request.states,
        project_id=request.project_id,
        ids=tuple(task.id for task in named) or None,
    )
