"""`orchestrator task list`, `show`, `explain`."""

import time
from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output, times
from orchestrator.cli.cost import spent
from orchestrator.cli.effective import lines_of
from orchestrator.cli.hints import typed
from orchestrator.cli.session import call
from orchestrator.cli.task_change import Task, labels
from orchestrator.commands import explain as explaining
from orchestrator.commands import task_views, tasks
from orchestrator.commands.visible import one_line
from orchestrator.domain.task import TERMINAL, TaskState


def list_(
    *,
    project: Annotated[str | None, Parameter(help="Of this project only.")] = None,
    state: Annotated[list[TaskState] | None, Parameter(help="In this state only; repeatable.")] = None,
    profile: Annotated[str | None, Parameter(help="That name this profile only.")] = None,
    label: Annotated[list[str] | None, Parameter(help="With this name=value only; repeatable.")] = None,
    schedule: Annotated[str | None, Parameter(help="That this schedule made only.")] = None,
    before: Annotated[str | None, Parameter(help="Go on after this task of the page before.")] = None,
    limit: Annotated[int, Parameter(help="At most so many.")] = 50,
    archived: Annotated[bool, Parameter(help="Those of the archive.", negative=())] = False,
) -> None:
    """List tasks, newest first."""
    request = task_views.ListTasks(
        project_id=project,
        states=tuple(state or ()),
        profile_id=profile,
        labels=labels(label or ()),
        schedule_id=schedule,
        before=before,
        limit=limit,
        archived=archived,
    )
    output.show(call(task_views.list_tasks, request), _page)


def show(task: Task) -> None:
    """Show a task and its attempts."""
    output.show(call(task_views.get_task, tasks.NamedTask(task_id=task)), _details)


def explain(task: Task) -> None:
    """Say why a task waits, or what it ran under."""
    output.show(call(explaining.explain_task, tasks.NamedTask(task_id=task)), _explanation)


def _page(page: task_views.TaskPage) -> Iterator[RenderableType]:
    if not page.tasks:
        yield output.text("no tasks; ask for one: " + typed("task add 'what to do'"))
        return
    now = time.time()
    yield output.table(
        ("id", "state", "project", "profile", "age", "title"),
        (
            (
                row.id,
                output.state(row.state if row.hold is None else f"{row.state} ({row.hold})"),
                row.project_id,
                row.profile_id or "-",
                times.ago(row.created_at, now=now),
                one_line(row.title, 80),
            )
            for row in page.tasks
        ),
    )
    if page.next is not None:
        yield output.text(f"more: {typed(f'task list --before {page.next}')}", "dim")


def _details(details: task_views.TaskDetails) -> Iterator[RenderableType]:
    task = details.task
    yield output.facts(
        (
            ("task", task.id),
            ("title", task.title),
            ("state", output.state(task.state)),
            ("project", task.project_id),
            ("profile", task.profile_id),
            ("schedule", task.schedule_id),
            ("priority", task.priority),
            ("depends on", ", ".join(details.depends_on) or None),
            ("not before", times.shown(task.run_at)),
            ("held", None if task.hold is None else f"{task.hold}: {task.hold_message or ''}"),
            ("attempts", f"{task.failures} used up of {task.max_attempts}"),
            ("created", times.shown(task.created_at)),
            ("finished", times.shown(task.finished_at)),
            ("archived", times.shown(details.archived_at)),
            ("requires", ", ".join(task.requires) or None),
            ("labels", ", ".join(f"{key}={value}" for key, value in task.labels.items()) or None),
        )
    )
    yield output.text("\nprompt", "bold")
    yield output.text(task.prompt)
    if task.result is not None:
        yield output.text("\nresult", "bold")
        yield output.text(task.result)
    for attempt in details.attempts:
        label = "rehearsal, " if attempt.rehearsal else ""
        cost = spent(attempt.cost_usd, rehearsal=attempt.rehearsal)
        yield output.text(
            f"\nattempt {attempt.number}: {attempt.outcome or 'under way'} ({label}profile "
            f"{attempt.profile_id or '-'}, worker {attempt.worker}, {cost})"
        )
        if attempt.message:
            yield output.text(f"  {attempt.message}", "dim")
        if attempt.checkout:
            yield output.text(f"  worked in {attempt.checkout}", "dim")


def _explanation(found: explaining.Explanation) -> Iterator[RenderableType]:
    yield output.text(f"{found.task_id} is {found.state}", "bold")
    for reason in found.reasons:
        # Every line of it hangs under its bullet.
        yield output.text("- " + reason.message.strip().replace("\n", "\n  "))
    if (by := found.made_by) is not None:
        which = "made to run by hand" if by.scheduled_for is None else times.shown(by.scheduled_for)
        yield output.text(f"- Schedule {by.schedule_id} made it: {which}.")
    if found.state in TERMINAL:
        yield output.text(f"all of how it ended: {typed(f'task show {found.task_id}')}", "dim")
    for under, verb in ((found.ran_under, "ran"), (found.would_run_under, "would run")):
        if under is not None:
            which = "" if under.attempt is None else f"attempt {under.attempt} "
            label = " (a rehearsal)" if under.rehearsal else ""
            yield output.text(
                f"\n{which}{verb} under profile {under.profile_id}, from tier {under.tier}{label}"
            )
            yield from output.warnings(under.warnings)
            yield from lines_of(under.effective)
