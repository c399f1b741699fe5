"""`orchestrator schedule add`, `edit`, `remove`, `pause`, `resume`, `run`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output, times
from orchestrator.cli.hints import typed
from orchestrator.cli.prompt import prompt_of
from orchestrator.cli.schedule_options import What, When, cleared
from orchestrator.cli.session import call
from orchestrator.commands import schedules
from orchestrator.commands.schedule_fields import Occurrence
from orchestrator.domain.errors import InvalidInput

Id = Annotated[str, Parameter(help="Id of the schedule.")]
PromptFile = Annotated[Path | None, Parameter(help="A file with the prompt; - is stdin.")]

_ANY_TIME = When()
_NOTHING = What()


def add(
    schedule: Id,
    text: Annotated[str | None, Parameter(help="What the agent is to do each time.")] = None,
    /,
    *,
    prompt_file: PromptFile = None,
    project: Annotated[str | None, Parameter(help="Absent: the only project there is.")] = None,
    paused: Annotated[bool, Parameter(help="Without letting it begin.", negative=())] = False,
    when: When = _ANY_TIME,
    what: What = _NOTHING,
) -> None:
    """Add a schedule, by --cron, --every or --at."""
    wanted = {"prompt": prompt_of(text, None, prompt_file), "project_id": project}
    given: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    if sum(one is not None for one in (when.cron, when.every, when.at)) != 1:
        raise InvalidInput("say when it occurs: one of --cron, --every and --at", field="cron")
    request = schedules.CreateSchedule(
        id=schedule, enabled=not paused, **given, **when.given(), **what.given()
    )
    output.show(call(schedules.create_schedule, request), _created)


def edit(
    schedule: Id,
    *,
    prompt: Annotated[str | None, Parameter(help="What the agent is to do.")] = None,
    prompt_file: PromptFile = None,
    clear: Annotated[
        list[str] | None,
        Parameter(help="To clear: start, end, condition, profile, timeout, budget, tokens, label, requires."),
    ] = None,
    when: When = _ANY_TIME,
    what: What = _NOTHING,
) -> None:
    """Change a schedule; new times hold from now on."""
    said = prompt_of(None, prompt, prompt_file)
    fields = {**({} if said is None else {"prompt": said}), **when.given(), **what.given()}
    request = schedules.EditSchedule(schedule_id=schedule, **(fields | cleared(clear or ())))
    output.show(call(schedules.edit_schedule, request), _updated)


def remove(schedule: Id) -> None:
    """Remove a schedule; the tasks it made go on."""
    output.show(
        call(schedules.delete_schedule, schedules.NamedSchedule(schedule_id=schedule)),
        lambda done: [output.text(f"schedule {done.deleted} removed")],
    )


def pause(
    schedule: Id,
    *,
    reason: Annotated[str | None, Parameter(help="For whoever finds it paused.")] = None,
) -> None:
    """Make no more tasks of a schedule; those it made go on."""
    request = schedules.PauseSchedule(schedule_id=schedule, reason=reason)
    output.show(call(schedules.pause_schedule, request), _paused)


def resume(schedule: Id) -> None:
    """Let a paused schedule go on with its next occurrence."""
    output.show(call(schedules.resume_schedule, schedules.NamedSchedule(schedule_id=schedule)), _paused)


def run(schedule: Id) -> None:
    """Make a task of a schedule at once, whatever its times and its condition say."""
    output.show(
        call(schedules.run_schedule_now, schedules.NamedSchedule(schedule_id=schedule)),
        lambda done: [
            output.text(f"{done.task_id} {done.state}"),
            output.hint("follow it", typed(f"task watch {done.task_id}")),
        ],
    )


def _created(done: schedules.ScheduleCreated) -> Iterator[RenderableType]:
    yield output.text(f"schedule {done.created} added to project {done.project_id}")
    yield from output.warnings(done.warnings)
    yield from upcoming(done.upcoming)


def _updated(done: schedules.ScheduleUpdated) -> Iterator[RenderableType]:
    yield output.text(f"schedule {done.updated} updated: {', '.join(done.fields)}")
    yield from upcoming(done.upcoming)
    if not done.upcoming:
        yield output.hint("if it is paused", typed(f"schedule resume {done.updated}"))


def _paused(done: schedules.SchedulePaused) -> Iterator[RenderableType]:
    now = f"goes on at {times.shown(done.next_at)}" if done.enabled else "is paused"
    yield output.text(f"schedule {done.schedule_id} {now}")


def upcoming(found: tuple[Occurrence, ...]) -> Iterator[RenderableType]:
    """Times as the clocks of the schedule's zone show them, and when a task is made if that is later."""
    if not found:
        yield output.text("no occurrence to come", "dim")
        return
    yield output.table(
        ("occurs", "makes its task (here)"),
        ((one.local.replace("T", " "), times.with_offset(one.at)) for one in found),
    )
