"""Commands that look at schedules: one, many, and when they would occur."""

from dataclasses import dataclass, field
from itertools import islice

from orchestrator import occurrences
from orchestrator.commands import checks
from orchestrator.commands import schedule_fields as fields_of
from orchestrator.commands.encoding import INLINE
from orchestrator.commands.projects import known_project
from orchestrator.commands.schedule_fields import Occurrence
from orchestrator.commands.schedules import WHOLE_SECONDS, NamedSchedule
from orchestrator.commands.use import Use
from orchestrator.domain.errors import InvalidInput, NotFound
from orchestrator.domain.schedule import Schedule, ScheduleKind, Timing, due_at
from orchestrator.store import schedules
from orchestrator.store.database import Transaction

SHOWN = 5
MOST = 1000
"""Occurrences of one preview at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListSchedules:
    project_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleRow:
    """A schedule without what it asks for."""

    id: str
    project_id: str
    name: str
    kind: ScheduleKind
    expression: str
    timezone: str
    profile_id: str | None
    enabled: bool
    paused_reason: str | None
    next_at: float | None
    last_at: float | None
    last_outcome: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleList:
    schedules: tuple[ScheduleRow, ...]
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleDetails:
    """Every field of the schedule, its next occurrences, and those that wait for a task to end."""

    schedule: Schedule = field(metadata=INLINE)
    upcoming: tuple[Occurrence, ...]
    queued: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewSchedule:
    """Of a schedule that is there, by its id, or of one that is not yet, by its times."""

    schedule_id: str | None = None
    cron: str | None = None
    interval: float | None = field(default=None, metadata=WHOLE_SECONDS)
    once: str | None = None
    timezone: str = "UTC"
    start_at: float | None = None
    end_at: float | None = None
    after: float | None = None
    """Only those after this time; absent: after now."""
    count: int = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    occurrences: tuple[Occurrence, ...]
    count: int
    timezone: str


async def list_schedules(use: Use, request: ListSchedules) -> ScheduleList:
    """List the schedules by id, with their next time and what became of the last one."""

    def read(tx: Transaction) -> list[Schedule]:
        if request.project_id is not None:
            known_project(tx, request.project_id)
        return schedules.list_schedules(tx, project_id=request.project_id)

    found = tuple(map(_row, await use.database.read(read)))
    return ScheduleList(schedules=found, count=len(found))


async def get_schedule(use: Use, request: NamedSchedule) -> ScheduleDetails:
    """Show a schedule, its next occurrences, and those that wait."""

    def read(tx: Transaction) -> tuple[Schedule, list[float]]:
        schedule = _known(tx, request.schedule_id)
        return schedule, schedules.queued(tx, schedule.id)

    schedule, queued = await use.database.read(read)
    return ScheduleDetails(
        schedule=schedule, upcoming=fields_of.upcoming(schedule, SHOWN), queued=tuple(queued)
    )


async def preview_schedule(use: Use, request: PreviewSchedule) -> Preview:
    """Say when a schedule occurs next, also one that is not there yet."""
    if not 1 <= request.count <= MOST:
        raise InvalidInput(f"count must be between 1 and {MOST}, got {request.count}", field="count")
    checks.check_number(request.after, "after", least=0, most=checks.LATEST)
    now = use.clock()
    after = now if request.after is None else request.after
    schedule = None
    if request.schedule_id is not None:
        schedule = await use.database.read(_known, request.schedule_id)
    timing = _timing(request, now) if schedule is None else schedule.timing
    if schedule is not None and _mentions_times(request):
        raise InvalidInput("give either schedule_id or times of your own", field="schedule_id")
    fields_of.check_timing(timing)
    times = islice(occurrences.following(timing, after), request.count)
    found = tuple(
        fields_of.occurrence(timing, at, None if schedule is None else due_at(schedule, at)) for at in times
    )
    return Preview(occurrences=found, count=len(found), timezone=timing.timezone)


def _timing(request: PreviewSchedule, now: float) -> Timing:
    recurs = fields_of.expressed(request.cron, request.interval, request.once)
    if recurs is None:
        raise InvalidInput("give schedule_id, or one of cron, interval and once", field="schedule_id")
    kind, expression = recurs
    return Timing(
        kind=kind,
        expression=expression,
        timezone=request.timezone,
        start_at=fields_of.beginning(kind, request.start_at, now=now),
        end_at=request.end_at,
    )


def _mentions_times(request: PreviewSchedule) -> bool:
    given = (request.cron, request.interval, request.once, request.start_at, request.end_at)
    return any(one is not None for one in given) or request.timezone != "UTC"


def _known(tx: Transaction, schedule_id: str) -> Schedule:
    found = schedules.get(tx, checks.check_id(schedule_id, "schedule_id"))
    if found is None:
        raise NotFound(
            f"schedule {schedule_id} not found; `orchestrator schedule list` shows those there are",
            field="schedule_id",
        )
    return found


def _row(schedule: Schedule) -> ScheduleRow:
    return ScheduleRow(
        id=schedule.id,
        project_id=schedule.project_id,
        name=schedule.name,
        kind=schedule.kind,
        expression=schedule.expression,
        timezone=schedule.timezone,
        profile_id=schedule.profile_id,
        enabled=schedule.enabled,
        paused_reason=schedule.paused_reason,
        next_at=schedule.next_at,
        last_at=schedule.last_at,
        last_outcome=schedule.last_outcome,
    )
