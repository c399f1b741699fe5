"""The fields of a schedule as options of the command line."""

import shlex
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from cyclopts import Parameter

from orchestrator.cli import times
from orchestrator.cli.task_change import labels
from orchestrator.cli.whole import WHOLE
from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.schedule import Missed, Overlap

CLEARED: Final[dict[str, tuple[str, Any]]] = {
    "start": ("start_at", None),
    "end": ("end_at", None),
    "condition": ("condition", None),
    "profile": ("profile_id", None),
    "timeout": ("timeout_seconds", None),
    "budget": ("max_budget_usd", None),
    "tokens": ("max_tokens", None),
    "label": ("labels", {}),
    "requires": ("requires", ()),
}
"""What can be cleared, by the option that sets it."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class When:
    """When a schedule occurs."""

    cron: Annotated[
        str | None, Parameter(help="Minute hour day month weekday, such as '30 2 * * mon-fri'; or @daily.")
    ] = None
    every: Annotated[str | None, Parameter(help="An interval: 90s, 15m, 2h, 1d.")] = None
    at: Annotated[str | None, Parameter(help="Once: +15m, 2031-05-01T08:00 in the time zone.")] = None
    timezone: Annotated[str | None, Parameter(help="Such as Europe/Berlin; UTC unless given.")] = None
    start: Annotated[str | None, Parameter(help="Not before this time: +15m or 2031-05-01T08:00.")] = None
    end: Annotated[str | None, Parameter(help="Not after this time.")] = None

    def given(self) -> dict[str, Any]:
        """The members of a request, those that were given. Raises InvalidInput."""
        now = time.time()
        fields = {
            "cron": self.cron,
            "interval": None if self.every is None else times.duration(self.every, "every"),
            "once": None if self.at is None else _once(self.at, now),
            "timezone": self.timezone,
            "start_at": None if self.start is None else times.moment(self.start, "start", now=now),
            "end_at": None if self.end is None else times.moment(self.end, "end", now=now),
        }
        return {name: value for name, value in fields.items() if value is not None}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class What:
    """What a schedule does when it occurs."""

    name: Annotated[str | None, Parameter(help="A name for people; absent: the id.")] = None
    jitter: Annotated[str | None, Parameter(help="Put each occurrence off by up to so much: 10m.")] = None
    missed: Annotated[
        Missed | None, Parameter(help="What becomes of missed occurrences; once unless given.")
    ] = None
    missed_limit: Annotated[
        int | None, WHOLE, Parameter(help="With --missed all: the latest so many; 100.")
    ] = None
    grace: Annotated[str | None, Parameter(help="So late is still on time; 60s unless given.")] = None
    overlap: Annotated[
        Overlap | None, Parameter(help="While an earlier task has not ended; allow unless given.")
    ] = None
    condition: Annotated[
        str | None, Parameter(help="A command, run without a shell; a task is made when it ends with 0.")
    ] = None
    condition_timeout: Annotated[str | None, Parameter(help="How long it may take; 60s unless given.")] = None
    title: Annotated[str | None, Parameter(help="Title of the tasks.")] = None
    profile: Annotated[str | None, Parameter(help="Profile; absent: the project's default.")] = None
    priority: Annotated[int | None, WHOLE, Parameter(help="Lower goes first; 100 unless given.")] = None
    max_attempts: Annotated[
        int | None, WHOLE, Parameter(help="Tries before a task fails; 3 unless given.")
    ] = None
    timeout: Annotated[str | None, Parameter(help="Length of one attempt at most: 15m, 2h.")] = None
    budget: Annotated[float | None, Parameter(help="Spend of one attempt at most, in USD.")] = None
    tokens: Annotated[int | None, WHOLE, Parameter(help="Tokens of all attempts of a task at most.")] = None
    label: Annotated[list[str] | None, Parameter(help="name=value; repeatable.")] = None
    requires: Annotated[list[str] | None, Parameter(help="A label that a worker must have; repeatable.")] = (
        None
    )

    def given(self) -> dict[str, Any]:
        """The members of a request, those that were given. Raises InvalidInput."""
        fields = {
            "name": self.name,
            "jitter_seconds": _seconds(self.jitter, "jitter"),
            "missed": self.missed,
            "missed_limit": self.missed_limit,
            "grace_seconds": _seconds(self.grace, "grace"),
            "overlap": self.overlap,
            "condition": None if self.condition is None else _words(self.condition),
            "condition_seconds": _seconds(self.condition_timeout, "condition_timeout"),
            "title": self.title,
            "profile_id": self.profile,
            "priority": self.priority,
            "max_attempts": self.max_attempts,
            "timeout_seconds": _seconds(self.timeout, "timeout"),
            "max_budget_usd": self.budget,
            "max_tokens": self.tokens,
            "requires": None if self.requires is None else tuple(self.requires),
            "labels": None if self.label is None else labels(self.label),
        }
        return {name: value for name, value in fields.items() if value is not None}


def cleared(names: Iterable[str]) -> dict[str, Any]:
    """The members of an edit that clear these. Raises InvalidInput."""
    for name in names:
        if name not in CLEARED:
            raise InvalidInput(f"clear: {name!r} is not one of {', '.join(CLEARED)}", field="clear")
    return dict(CLEARED[name] for name in names)


def _once(text: str, now: float) -> str:
    if not text.startswith("+"):
        return text
    return datetime.fromtimestamp(times.moment(text, "at", now=now), UTC).isoformat()


def _seconds(text: str | None, field: str) -> float | None:
    return None if text is None else times.duration(text, field)


def _words(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise InvalidInput(f"condition: {error}; got {command[:80]!r}", field="condition") from None
