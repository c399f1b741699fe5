"""`orchestrator task archive`."""

from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output, times
from orchestrator.cli.session import call
from orchestrator.commands import archive as archiving
from orchestrator.domain.task import TaskState


def archive(
    *tasks: Annotated[str, Parameter(help="Ids of tasks; absent: all that the options choose.")],
    older_than: Annotated[str | None, Parameter(help="That ended so long ago: 2h, 14d.")] = None,
    state: Annotated[list[TaskState] | None, Parameter(help="That ended so only; repeatable.")] = None,
    project: Annotated[str | None, Parameter(help="Of this project only.")] = None,
    dry_run: Annotated[bool, Parameter(help="Change nothing; say what would be archived.")] = False,
) -> None:
    """Move ended tasks to the archive."""
    request = archiving.ArchiveTasks(
        task_ids=tasks,
        older_than_seconds=None if older_than is None else times.duration(older_than, "older_than"),
        states=tuple(state or ()),
        project_id=project,
        dry_run=dry_run,
    )
    output.show(call(archiving.archive_tasks, request), _told)


def _told(done: archiving.TasksArchived) -> Iterator[RenderableType]:
    verb = "would be archived" if done.dry_run else "archived"
    yield output.text(f"{done.archived} task{'' if done.archived == 1 else 's'} {verb}")
    for task_id in done.task_ids if done.dry_run else ():
        yield output.text(f"  {task_id}")
    if done.dry_run and done.archived > len(done.task_ids):
        yield output.text(f"  and {done.archived - len(done.task_ids)} more", "dim")
    if done.kept:
        yield output.text(f"{done.kept} stay: a task that has not ended waits for them, or asked for them")
