"""A schedule, and what is due of it: which occurrences make a task now, and when to look again."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import Any, Final

FIRED_AT_ONCE: Final = 100
"""Occurrences that are dealt with in one transaction; the rest follow in the next one."""

Following = Callable[[float], Iterator[float]]
"""The occurrences strictly after a time, in order, by the clock alone: without jitter."""


class ScheduleKind(StrEnum):
    CRON = "cron"
    INTERVAL = "interval"
    ONCE = "once"


class Missed(StrEnum):
    """What becomes of occurrences that nobody was there for, or that were found later than the grace time."""

    SKIP = "skip"
    ONCE = "once"
    """One task stands for all of them: the latest, or the one that is due on time just then."""
    ALL = "all"


class Overlap(StrEnum):
    """What becomes of an occurrence while an earlier task of the same schedule has not ended."""

    ALLOW = "allow"
    SKIP = "skip"
    QUEUE = "queue"
    """It waits; those that wait make their tasks one after the other, in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """When something happens. Times are Unix seconds."""

    kind: ScheduleKind
    expression: str
    """Five fields of a crontab, or seconds between occurrences, or a time in ISO 8601."""
    timezone: str = "UTC"
    start_at: float | None = None
    """No occurrence before it; intervals are counted from it."""
    end_at: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """What makes tasks by the clock. Times are Unix seconds."""

    id: str
    project_id: str
    name: str
    kind: ScheduleKind
    expression: str
    created_at: float
    updated_at: float
    timezone: str = "UTC"
    start_at: float | None = None
    end_at: float | None = None
    jitter_seconds: float = 0.0
    """Each occurrence is put off by a part of this that is its own, the same whoever computes it."""
    missed: Missed = Missed.ONCE
    missed_limit: int = 100
    """With `all`: how many of the latest missed occurrences still make a task."""
    grace_seconds: float = 60.0
    """Found so much later than it was due, an occurrence is still on time."""
    overlap: Overlap = Overlap.ALLOW
    condition: tuple[str, ...] | None = None
    """A program and its arguments that decide by their exit code whether a due occurrence makes a task."""
    condition_seconds: float = 60.0
    profile_id: str | None = None
    task: Mapping[str, Any] = field(default_factory=dict)
    """What each occurrence asks for: fields of a `NewTask`."""
    enabled: bool = True
    paused_reason: str | None = None
    next_for: float | None = None
    """The next occurrence; `None` when there is none, or none while it is paused."""
    next_at: float | None = None
    """When that is due, jitter included."""
    last_at: float | None = None
    """When an occurrence was dealt with last."""
    last_for: float | None = None
    last_outcome: str | None = None
    """What became of that occurrence, in a sentence."""
    last_task_id: str | None = None
    """The task that the schedule made last."""

    @property
    def timing(self) -> Timing:
        return Timing(
            kind=self.kind,
            expression=self.expression,
            timezone=self.timezone,
            start_at=self.start_at,
            end_at=self.end_at,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """Missed occurrences that make no task."""

    first: float
    last: float
    count: int
    more: bool
    """There were more before these; nobody counts them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What is to happen now. With nothing in it, the schedule is not due."""

    fire: tuple[float, ...] = ()
    """The occurrences that are to make a task, in order, if overlap and condition let them."""
    dropped: Dropped | None = None
    next_for: float | None = None


def jitter(schedule_id: str, occurrence: float, most: float) -> float:
    """By how much this occurrence is put off: from 0 up to `most` seconds, always the same."""
    if most <= 0:
        return 0.0
    digest = hashlib.sha256(f"{schedule_id}\n{occurrence!r}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48 * most


def due_at(schedule: Schedule, occurrence: float | None) -> float | None:
    """When the occurrence is to make its task."""
    if occurrence is None:
        return None
    return occurrence + jitter(schedule.id, occurrence, schedule.jitter_seconds)


def decide(schedule: Schedule, *, now: float, following: Following) -> Decision:
    """Which occurrences are due at `now`, which of them make a task, and which one comes next.

    Occurrences are taken in their order: one whose jitter is long holds back those after it. However long
    nobody looked, only the latest `missed_limit` of what was missed are computed one by one.
    """
    if schedule.next_for is None:
        return Decision()
    missed, more, others = _long_ago(schedule, now, following)
    on_time: list[float] = []
    upcoming: float | None = None
    held_until = 0.0
    for occurrence in others:
        put_off = occurrence + jitter(schedule.id, occurrence, schedule.jitter_seconds)
        held_until = max(held_until, put_off)
        late = now - held_until
        if late < 0 or len(on_time) == FIRED_AT_ONCE:
            upcoming = occurrence
            break
        (missed if late > schedule.grace_seconds else on_time).append(occurrence)
    fire, left_out = _by_policy(schedule, missed, on_time)
    if len(fire) > FIRED_AT_ONCE:
        fire, upcoming = fire[:FIRED_AT_ONCE], fire[FIRED_AT_ONCE]
    dropped = None
    if left_out:
        first = schedule.next_for if more else left_out[0]
        dropped = Dropped(first=first, last=left_out[-1], count=len(left_out), more=more)
    return Decision(fire=tuple(fire), dropped=dropped, next_for=upcoming)


def _by_policy(
    schedule: Schedule, missed: list[float], on_time: list[float]
) -> tuple[list[float], list[float]]:
    """Those that make a task, and those that do not."""
    match schedule.missed:
        case Missed.SKIP:
            return on_time, missed
        case Missed.ONCE:
            return (on_time, missed) if on_time else (missed[-1:], missed[:-1])
        case Missed.ALL:
            cut = max(len(missed) - schedule.missed_limit, 0)
            return missed[cut:] + on_time, missed[:cut]


def _long_ago(
    schedule: Schedule, now: float, following: Following
) -> tuple[list[float], bool, Iterator[float]]:
    """The latest of what was missed beyond doubt, whether there was more, and an iterator over the rest."""
    assert schedule.next_for is not None
    horizon = now - schedule.grace_seconds - schedule.jitter_seconds - 1
    begin = schedule.next_for
    if begin >= horizon:
        return [], False, chain((begin,), following(begin))
    missed, more = latest(following, begin, horizon, most=schedule.missed_limit + 1)
    return missed, more, following(missed[-1])


def latest(following: Following, begin: float, end: float, *, most: int) -> tuple[list[float], bool]:
    """The last `most` occurrences from `begin`, itself one, to `end`, and whether there were more.

    It looks back from the end, each time twice as far, so that a second's schedule that nobody looked at for
    a month costs no more than an hour's.
    """
    second = next(following(begin), None)
    if second is None or second > end:
        return [begin], False
    span = (second - begin) * most
    while True:
        since = end - span
        found: deque[float] = deque(maxlen=most)
        count = 0
        whole = since <= begin
        for occurrence in chain((begin,), following(begin)) if whole else following(since):
            if occurrence > end:
                break
            found.append(occurrence)
            count += 1
        if whole or count >= most:
            return list(found), count > most or not whole
        span *= 2
