"""`orchestrator task list`, `show`, `explain`."""

import shlex
import time
from collections.abc import Iterator
from typing import Annotated, Final

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output, times
from orchestrator.cli.cost import spent
from orchestrator.cli.effective import lines_of
from orchestrator.cli.hints import typed
from orchestrator.cli.session import call
from orchestrator.cli.task_change import Task, labels
from orchestrator.cli.whole import WHOLE
from orchestrator.commands import explain as explaining
from orchestrator.commands import task_views, tasks
from orchestrator.commands.encoding import encode
from orchestrator.commands.visible import one_line
from orchestrator.domain.task import TERMINAL, TaskState

PAGE: Final = 50
"""Tasks of one list, unless told otherwise."""


def _as_shown(state: str) -> str:
    """A state as every other place shows it, also for whoever types it in lower case."""
    return state.upper().replace("-", "_")


def list_(
    *,
    project: Annotated[str | None, Parameter(help="Of this project only.")] = None,
    state: Annotated[
        list[TaskState] | None,
        Parameter(name="--state", help="In this state only; repeatable.", name_transform=_as_shown),
    ] = None,
    profile: Annotated[str | None, Parameter(help="That name this profile only.")] = None,
    label: Annotated[list[str] | None, Parameter(help="With this name=value only; repeatable.")] = None,
    schedule: Annotated[str | None, Parameter(help="That this schedule made only.")] = None,
    before: Annotated[str | None, Parameter(help="Go on after this task of the page before.")] = None,
    limit: Annotated[int, WHOLE, Parameter(help="At most so many.")] = PAGE,
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
    output.show(call(task_views.list_tasks, request), lambda page: _page(page, request))


def show(task: Task) -> None:
    """Show a task and its attempts."""
    output.show(call(task_views.get_task, tasks.NamedTask(task_id=task)), _details)


def explain(task: Task) -> None:
    """Say why a task waits, or what it ran under."""
    output.show(call(explaining.explain_task, tasks.NamedTask(task_id=task)), _explanation)


def _page(page: task_views.TaskPage, asked: task_views.ListTasks) -> Iterator[RenderableType]:
    if not page.tasks:
        yield output.hint("no tasks; ask for one", typed("task add 'what to do'"), "")
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
        yield output.hint("more", typed(f"task list{_again(asked)} --before {page.next}"))


def _again(asked: task_views.ListTasks) -> str:
    """The options of a list, as they were given."""
    given = [
        ("--project", asked.project_id),
        *(("--state", str(state)) for state in asked.states),
        ("--profile", asked.profile_id),
        *(("--label", f"{name}={value}") for name, value in asked.labels.items()),
        ("--schedule", asked.schedule_id),
        ("--limit", None if asked.limit == PAGE else str(asked.limit)),
    ]
    words = [f" {option} {shlex.quote(value)}" for option, value in given if value is not None]
    return "".join(words) + (" --archived" if asked.archived else "")


def _to_answer(task_id: str, state: TaskState) -> Iterator[RenderableType]:
    if state is TaskState.WAITING_INPUT:
        yield output.hint("answer it", typed(f"task answer {task_id} 'your answer'"))


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
    yield from _to_answer(task.id, task.state)
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
        yield output.hint("all of how it ended", typed(f"task show {found.task_id}"))
    yield from _to_answer(found.task_id, found.state)
    for under, verb in ((found.ran_under, "ran"), (found.would_run_under, "would run")):
        if under is not None and verb == "would run" and _same(found.ran_under, under):
            yield output.text("it would run under the same again")
        elif under is not None:
            which = "" if under.attempt is None else f"attempt {under.attempt} "
            label = " (a rehearsal)" if under.rehearsal else ""
            yield output.text(
                f"\n{which}{verb} under profile {under.profile_id}, from tier {under.tier}{label}"
            )
            yield from output.warnings(under.warnings)
            yield from lines_of(under.effective)


def _same(ran: explaining.Under | None, would: explaining.Under) -> bool:
    """Whether the next attempt would have just what the latest had."""
    return ran is not None and _granted(ran) == _granted(would)


def _granted(under: explaining.Under) -> object:
    return under.profile_id, under.tier, under.warnings, encode(under.effective)
