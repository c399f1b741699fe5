"""What every field of a schedule must be, and when it occurs next, before anything is touched."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from orchestrator import occurrences
from orchestrator.commands import checks
from orchestrator.commands.command import changed
from orchestrator.commands.tasks import check_fields, named
from orchestrator.commands.use import Use
from orchestrator.domain.errors import InvalidInput, NotPermitted
from orchestrator.domain.schedule import Schedule, ScheduleKind, Timing, due_at

WORDS: Final = 100
"""Arguments of a condition at most."""
WORD_CHARACTERS: Final = 4096
DAY: Final = 86_400.0
CONDITION_SECONDS: Final = 3600.0
MISSED: Final = 1000

TIMED: Final = frozenset(
    {"kind", "expression", "timezone", "start_at", "end_at", "jitter_seconds", "enabled"}
)
"""Fields of a schedule that say when it occurs next."""
ASKED: Final = (
    "title",
    "prompt",
    "priority",
    "max_attempts",
    "timeout_seconds",
    "max_budget_usd",
    "max_tokens",
    "labels",
    "requires",
)
"""Fields of a request that say what an occurrence asks for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Occurrence:
    """`at` is when it makes its task, jitter included; both are Unix seconds."""

    scheduled_for: float
    at: float
    local: str
    """`scheduled_for` in ISO 8601, in the schedule's time zone."""


def expressed(cron: str | None, interval: float | None, once: str | None) -> tuple[ScheduleKind, str] | None:
    """How it recurs, from the one that is given; `None` when none is. Raises InvalidInput for two."""
    given = {
        ScheduleKind.CRON: cron,
        ScheduleKind.INTERVAL: None
        if interval is None
        else f"{interval:g}"
        if interval < 1e6
        else str(interval),
        ScheduleKind.ONCE: once,
    }
    there = [(kind, text) for kind, text in given.items() if text is not None]
    if len(there) > 1:
        names = " and ".join(kind.value for kind, _ in there)
        raise InvalidInput(f"{names} exclude each other; give one of them", field=there[1][0].value)
    if not there:
        return None
    kind, text = there[0]
    return kind, text.strip()


def beginning(kind: ScheduleKind, start_at: float | None, *, now: float) -> float | None:
    """From when it occurs: an interval that does not say is counted from now, in whole seconds."""
    return float(int(now)) if start_at is None and kind is ScheduleKind.INTERVAL else start_at


def check_timing(timing: Timing) -> None:
    """Raises InvalidInput naming `cron`, `interval`, `once`, `timezone`, `start_at` or `end_at`."""
    occurrences.check(timing)
    for name in ("start_at", "end_at"):
        checks.check_number(getattr(timing, name), name, least=0, most=checks.LATEST)
    if timing.start_at is not None and timing.end_at is not None and timing.end_at < timing.start_at:
        raise InvalidInput("end_at must not be before start_at", field="end_at")


def check(use: Use, schedule: Schedule) -> Schedule:
    """The same, tidied. Raises InvalidInput, and NotPermitted for a condition that an agent wants to set."""
    check_timing(schedule.timing)
    checks.check_number(schedule.jitter_seconds, "jitter_seconds", least=0, most=DAY)
    checks.check_number(schedule.grace_seconds, "grace_seconds", least=0, most=DAY)
    checks.check_number(schedule.missed_limit, "missed_limit", least=1, most=MISSED)
    checks.check_number(schedule.condition_seconds, "condition_seconds", least=1, most=CONDITION_SECONDS)
    if schedule.condition is not None:
        if use.caller.agent is not None:
            raise NotPermitted("condition: only people say which program decides", field="condition")
        _check_condition(schedule.condition)
    return replace(schedule, name=checks.check_title(schedule.name, "name"))


def _check_condition(condition: tuple[str, ...]) -> None:
    if not condition or not condition[0].strip():
        raise InvalidInput("condition must name a program, then its arguments", field="condition")
    if "/" in condition[0] and not condition[0].startswith("/"):
        raise InvalidInput(
            f"condition: {condition[0][:80]!r} must be an absolute path or a name on the PATH; what lies in "
            "a repository is an agent's to change",
            field="condition",
        )
    if len(condition) > WORDS:
        raise InvalidInput(f"condition must have at most {WORDS} words", field="condition")
    for place, word in enumerate(condition):
        checks.storable(word, f"condition.{place}")
        if len(word) > WORD_CHARACTERS:
            raise InvalidInput(
                f"condition.{place} must have at most {WORD_CHARACTERS} characters",
                field=f"condition.{place}",
            )


def asked(request: Any, *, name: str | None) -> dict[str, Any]:
    """What each occurrence asks for: fields of a `NewTask`. Raises InvalidInput."""
    given = {field: getattr(request, field) for field in ASKED}
    given = {field: value for field, value in given.items() if value is not None}
    given["title"], given["prompt"] = named(given.get("title", name), given.get("prompt"))
    check_fields(given)
    return given


def asked_anew(request: Any) -> dict[str, Any]:
    """The same, of an edit: those that it mentions. Raises InvalidInput."""
    given = changed(**{field: getattr(request, field) for field in ASKED})
    check_fields(given)
    return given


def timed(schedule: Schedule, *, now: float) -> Schedule:
    """With its next occurrence: after now, and after what was dealt with before, so that a change makes no
    second task of an occurrence. A paused one has none."""
    if not schedule.enabled:
        return replace(schedule, next_for=None, next_at=None)
    after = now if schedule.last_for is None else max(now, schedule.last_for)
    upcoming = next(occurrences.following(schedule.timing, after), None)
    return replace(schedule, next_for=upcoming, next_at=due_at(schedule, upcoming))


def must_occur(schedule: Schedule) -> None:
    """Raises InvalidInput when a schedule that is not paused never will."""
    if schedule.enabled and schedule.next_for is None:
        why = "lies in the past" if schedule.kind is ScheduleKind.ONCE else "never comes"
        if schedule.end_at is not None:
            raise InvalidInput(f"end_at leaves no occurrence of {schedule.expression!r}", field="end_at")
        raise InvalidInput(
            f"{schedule.kind.value} {schedule.expression!r} {why}; `orchestrator schedule preview` shows the "
            "times of an expression",
            field=schedule.kind.value,
        )


def upcoming(schedule: Schedule, count: int) -> tuple[Occurrence, ...]:
    """The next ones of a schedule, the one that it waits for first."""
    if schedule.next_for is None:
        return ()
    rest = occurrences.following(schedule.timing, schedule.next_for)
    times = [schedule.next_for, *islice(rest, count - 1)]
    return tuple(occurrence(schedule.timing, at, due_at(schedule, at)) for at in times)


def occurrence(timing: Timing, at: float, due: float | None = None) -> Occurrence:
    local = datetime.fromtimestamp(at, UTC).astimezone(occurrences.zone(timing.timezone))
    return Occurrence(scheduled_for=at, at=at if due is None else due, local=local.isoformat())
