"""`orchestrator schedule list`, `show`, `preview`."""

import shlex
from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output, times
from orchestrator.cli.hints import typed
from orchestrator.cli.schedule_change import Id, upcoming
from orchestrator.cli.schedule_options import When
from orchestrator.cli.session import call
from orchestrator.cli.whole import WHOLE
from orchestrator.commands import schedule_views, schedules
from orchestrator.commands.visible import one_line
from orchestrator.domain.schedule import Schedule

_ANY_TIME = When()


def list_(*, project: Annotated[str | None, Parameter(help="Of this project only.")] = None) -> None:
    """List the schedules, with their next time and what became of the last one."""
    request = schedule_views.ListSchedules(project_id=project)
    output.show(call(schedule_views.list_schedules, request), _list)


def show(schedule: Id) -> None:
    """Show a schedule, its next occurrences, and those that wait."""
    request = schedules.NamedSchedule(schedule_id=schedule)
    output.show(call(schedule_views.get_schedule, request), _details)


def preview(
    schedule: Annotated[str | None, Parameter(help="Absent: of the times that are given.")] = None,
    /,
    *,
    count: Annotated[int, WHOLE, Parameter(help="So many.")] = 10,
    when: When = _ANY_TIME,
) -> None:
    """Say when a schedule occurs next, also one that is not there yet."""
    request = schedule_views.PreviewSchedule(schedule_id=schedule, count=count, **when.given())
    output.show(call(schedule_views.preview_schedule, request), lambda found: upcoming(found.occurrences))


def _list(found: schedule_views.ScheduleList) -> Iterator[RenderableType]:
    if not found.schedules:
        example = typed("schedule add nightly --cron '0 2 * * *' 'what to do'")
        yield output.hint("no schedules; add one", example, "")
        return
    yield output.table(
        ("id", "project", "when", "next", "last"),
        (
            (
                row.id + ("" if row.enabled else " (paused)"),
                row.project_id,
                _when(row.kind, row.expression, row.timezone),
                times.shown(row.next_at) or row.paused_reason or "-",
                one_line(row.last_outcome or "-", 60),
            )
            for row in found.schedules
        ),
    )


def _when(kind: str, expression: str, timezone: str) -> str:
    said = f"every {expression}s" if kind == "interval" else f"{kind} {expression}"
    return said if timezone == "UTC" else f"{said} {timezone}"


def _details(found: schedule_views.ScheduleDetails) -> Iterator[RenderableType]:
    one = found.schedule
    yield output.facts(
        (
            ("schedule", one.id),
            ("name", one.name),
            ("project", one.project_id),
            ("profile", one.profile_id),
            ("paused", None if one.enabled else one.paused_reason or "yes"),
            ("when", _when(one.kind, one.expression, one.timezone)),
            ("not before", times.shown(one.start_at)),
            ("not after", times.shown(one.end_at)),
            ("put off by up to", f"{one.jitter_seconds:g}s" if one.jitter_seconds else None),
            ("missed", f"{one.missed}; up to {one.grace_seconds:g}s late is on time"),
            ("overlap", one.overlap),
            ("condition", None if one.condition is None else shlex.join(one.condition)),
            ("last time", _last(one)),
            ("last task", one.last_task_id),
            ("waiting", ", ".join(filter(None, map(times.shown, found.queued))) or None),
        )
    )
    yield output.text("\nprompt", "bold")
    yield output.text(str(one.task.get("prompt", "")))
    yield output.text("")
    yield from upcoming(found.upcoming)


def _last(one: Schedule) -> str | None:
    return None if one.last_at is None else f"{times.shown(one.last_at)}: {one.last_outcome or ''}"
