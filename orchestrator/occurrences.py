"""When schedules occur: the one place that uses APScheduler, whose triggers know calendars and time zones."""

import difflib
import re
import zoneinfo
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from heapq import heappop, heappush
from typing import Final

from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.schedule import ScheduleKind, Timing

FIELDS: Final = ("minute", "hour", "day", "month", "day_of_week")
"""Of a crontab line, in order."""

NAMED: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
HORIZON: Final = timedelta(days=40 * 366)
"""How far ahead a cron expression is searched: a 29 February on a given weekday comes every 40 years at the
latest, counting the century without one."""

CHANGE: Final = 3 * 3600.0
"""Seconds within which a change of clocks is over; none is larger than that."""

MOST_SECONDS: Final = 10 * 366 * 86_400.0
LATEST: Final = 32_503_680_000.0
"""The year 3000: nothing is computed beyond it."""
YEAR_OF_LATEST: Final = 3000

LABELS: Final = {"day": "day of the month", "day_of_week": "weekday"}
_PART: Final = re.compile(r"\*(?:/\d+)?|\d+(?:-\d+)?(?:/\d+)?|last|[a-z]{3}(?:-[a-z]{3})?")
_WEEKDAY: Final = re.compile(r"(\*|[a-z]{3}|\d)(?:-([a-z]{3}|\d))?(?:/(\d+))?")


def check(timing: Timing) -> None:
    """Raises InvalidInput naming the field and what would do: `cron`, `interval`, `once`, `timezone`."""
    zone(timing.timezone)
    match timing.kind:
        case ScheduleKind.CRON:
            _cron(timing.expression)
        case ScheduleKind.INTERVAL:
            _seconds(timing.expression)
        case ScheduleKind.ONCE:
            _moment(timing.expression, timing.timezone)


def following(timing: Timing, after: float) -> Iterator[float]:
    """The occurrences strictly after a time, in order, each once. They depend on the timing alone and not on
    what came before, so that everybody computes the same ones.

    A cron time that daylight saving leaves out occurs an hour later, at the time the clocks show then; one
    that comes twice occurs the first time, unless the hour begins with `*`: then it goes by the hours that
    really pass. Intervals are real seconds. Raises InvalidInput.
    """
    after = max(after, 0.0)
    if timing.start_at is not None:
        after = max(after, timing.start_at - 0.001)
    match timing.kind:
        case ScheduleKind.CRON:
            times = _cron_times(timing, after)
        case ScheduleKind.INTERVAL:
            times = _interval_times(timing, after)
        case ScheduleKind.ONCE:
            at = _moment(timing.expression, timing.timezone)
            times = iter((at,) if at > after else ())
    for at in times:
        if at > (LATEST if timing.end_at is None else min(timing.end_at, LATEST)):
            return
        yield at


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo:
    """The time zone of this name. Raises InvalidInput with the nearest ones."""
    if name == "UTC":
        return UTC  # needs no database of time zones
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = sorted(zoneinfo.available_timezones())
        if not known:
            hint = "this host has no time zones: install the package tzdata"
        else:
            plain = {one.casefold(): one for one in known}
            cities = {one.rpartition("/")[2].casefold(): one for one in known}
            wanted = name.casefold().replace(" ", "_")
            near = [plain[one] for one in difflib.get_close_matches(wanted, plain, n=2)]
            near += [cities[one] for one in difflib.get_close_matches(wanted, cities, n=2)]
            hint = (
                "did you mean " + " or ".join(dict.fromkeys(near)) + "?"
                if near
                else "give a name such as Europe/Berlin or UTC"
            )
        raise InvalidInput(f"timezone {name[:80]!r} is not known; {hint}", field="timezone") from None


def _interval_times(timing: Timing, after: float) -> Iterator[float]:
    from apscheduler.triggers.interval import IntervalTrigger  # noqa: PLC0415 - loaded with the first schedule

    seconds = _seconds(timing.expression)
    begin = datetime.fromtimestamp(int(timing.start_at or 0), UTC)
    trigger = IntervalTrigger(seconds=seconds, start_date=begin, timezone=UTC)
    at = trigger.get_next_fire_time(None, datetime.fromtimestamp(int(after), UTC))
    while at is not None:
        if at.timestamp() > after:
            yield at.timestamp()
        if at.timestamp() > LATEST:
            return
        at = trigger.get_next_fire_time(at, at)


def _cron_times(timing: Timing, after: float) -> Iterator[float]:
    """In order, although those that spring leaves out are put off beyond others, and those that autumn
    repeats come after others of the first time."""
    fields = _cron(timing.expression)
    here = zone(timing.timezone)
    real_hours = fields["hour"].startswith("*")
    pending: list[float] = []
    for wall in _walls(fields, _begin(after, here)):
        first, second = (wall.replace(tzinfo=here, fold=fold).timestamp() for fold in (0, 1))
        left_out = first > second
        moments: tuple[float, ...] = (first,)
        if real_hours:
            moments = () if left_out else (first, second)
        for at in moments:
            if at > after and at not in pending:
                heappush(pending, at)
        while pending and not left_out and pending[0] <= first:
            yield heappop(pending)
    yield from sorted(pending)


def _walls(fields: Mapping[str, str], since: datetime) -> Iterator[datetime]:
    """What a clock on the wall shows at each occurrence. The trigger is asked in a zone without changes: in
    others it forgets the midnight after a night in spring, and its answers depend on how it got there."""
    # Lazily, as loading it takes 4 MiB and most installations have no schedule.
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - loaded with the first schedule

    trigger = CronTrigger(timezone=UTC, **fields)
    while since.year < YEAR_OF_LATEST:
        trigger.end_date = since + HORIZON
        at = trigger.get_next_fire_time(None, since)
        if at is None:
            return
        yield at.replace(tzinfo=None)
        since = at + timedelta(seconds=1)


def _begin(after: float, here: tzinfo) -> datetime:
    """Where to begin on the wall, as if it were UTC; around a change of clocks a little earlier, since what
    is still to come may have been shown there before."""
    moments = [datetime.fromtimestamp(at, here) for at in (max(after - CHANGE, 0.0), after, after + CHANGE)]
    wall = moments[1].replace(microsecond=0, tzinfo=UTC, fold=0)
    changes = len({moment.utcoffset() for moment in moments}) > 1
    return wall - timedelta(seconds=CHANGE) if changes else wall


@lru_cache(maxsize=1024)
def _cron(expression: str) -> Mapping[str, str]:
    """The fields of a crontab line, as APScheduler wants them."""
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - loaded with the first schedule

    values = NAMED.get(expression.strip(), expression).lower().split()
    if len(values) != len(FIELDS):
        raise InvalidInput(
            f"cron must have five fields, minute hour day month weekday, such as '30 2 * * mon-fri', got "
            f"{len(values)}: {expression[:80]!r}",
            field="cron",
        )
    fields = dict(zip(FIELDS, values, strict=True))
    fields["day_of_week"] = _weekdays(fields["day_of_week"])
    for name, said in zip(FIELDS, values, strict=True):
        label = LABELS.get(name, name)
        if name != "day_of_week" and not all(_PART.fullmatch(part) for part in said.split(",")):
            raise InvalidInput(
                f"cron: {said[:40]!r} is no {label}; give numbers, ranges such as 1-5, steps such as */2, "
                "or *",
                field="cron",
            )
        try:
            CronTrigger(timezone=UTC, **{name: fields[name]})
        except (ValueError, OverflowError) as error:
            why = str(error).partition(": ")[2] or str(error)
            raise InvalidInput(f"cron: {said[:40]!r} is no {label}: {why}", field="cron") from None
    return fields


def _weekdays(text: str) -> str:
    """Weekdays as APScheduler names them. In a crontab 0 and 7 are Sunday; there, 0 is Monday."""
    if text == "*":
        return text
    days: list[str] = []
    for part in text.split(","):
        match = _WEEKDAY.fullmatch(part)
        first, last = (match[1], match[2]) if match else (None, None)
        begin = 0 if first == "*" else _weekday(first)
        end = 6 if first == "*" else _weekday(last) if last else 6 if match and match[3] else begin
        step = int(match[3] or 1) if match else 0
        if match is None or begin is None or end is None or not step:
            raise InvalidInput(
                f"cron: {part[:40]!r} is no weekday; give 0 to 7 (0 and 7 are Sunday), sun to sat, or a "
                "range such as mon-fri",
                field="cron",
            )
        if end < begin:
            end += 7
        days += [WEEKDAYS[day % 7] for day in range(begin, end + 1, step)]
    return ",".join(dict.fromkeys(days))


def _weekday(text: str | None) -> int | None:
    if text is None:
        return None
    if text.isdigit():
        return int(text) if int(text) <= 7 else None
    return WEEKDAYS.index(text) if text in WEEKDAYS else None


def _seconds(expression: str) -> int:
    """Whole seconds, at least one."""
    try:
        seconds = float(expression)
    except ValueError:
        seconds = 0.0
    if seconds != seconds or not 1 <= seconds <= MOST_SECONDS or seconds != int(seconds):
        raise InvalidInput(
            f"interval must be whole seconds, at least 1 and at most {MOST_SECONDS:.0f}, got {expression}",
            field="interval",
        )
    return int(seconds)


def _moment(expression: str, timezone: str) -> float:
    """Unix seconds of a time; one without an offset is of the time zone."""
    # Lazily, as for the others.
    from apscheduler.triggers.date import DateTrigger  # noqa: PLC0415 - loaded with the first schedule

    try:
        at = datetime.fromisoformat(expression)
        moment = DateTrigger(run_date=at, timezone=zone(timezone)).run_date.timestamp()
    except (ValueError, OverflowError, TypeError):
        raise InvalidInput(
            f"once must be a time such as 2031-05-01T08:00 or 2031-05-01T08:00+02:00, got "
            f"{expression[:80]!r}",
            field="once",
        ) from None
    if not 0 <= moment <= LATEST:
        raise InvalidInput(f"once must lie between 1970 and 3000, got {expression[:80]!r}", field="once")
    return float(moment)
