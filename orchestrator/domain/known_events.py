"""Every type of event there is, with the members of its data: what readers may rely on."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from orchestrator.domain.cloud_event import fits
from orchestrator.domain.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class EventType:
    """`fields` are members of the data; those in `sometimes` may be missing."""

    name: str
    meaning: str
    fields: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()


def _task(name: str, meaning: str, *fields: str, sometimes: tuple[str, ...] = ()) -> EventType:
    return EventType(f"task.{name}", meaning, ("state", *fields), sometimes)


def _ended(name: str, meaning: str, *fields: str, sometimes: tuple[str, ...] = ()) -> EventType:
    """A task's, from the end of an attempt; the same fact may also come about without one."""
    return EventType(f"task.{name}", meaning, fields, ("state", "attempt", "outcome", "message", *sometimes))


_DOCUMENT: Final = ("path",)

KNOWN_EVENTS: Final = (
    _task("created", "Someone asked for a task.", "title"),
    _task("updated", "Fields of a task were changed.", "fields"),
    _task("waiting", "A task waits for others again, as what it depends on was changed."),
    _task("ready", "What the task depends on has completed."),
    _task("unblocked", "What had failed and blocked the task is tried again.", "depends_on"),
    _task("paused", "A person put the task aside.", "until"),
    _task("resumed", "A task that was put aside goes on."),
    _task("cancel_requested", "A running task is to be cancelled; its worker stops the agent."),
    _task("retried", "A person asked for another try of a task that had ended."),
    _task("answered", "A person answered the agent's question.", "attempt", "by"),
    _task("archived", "The task was moved to the archive."),
    _task("rescued", "The worker died; the task may start again.", "attempt"),
    _ended("completed", "The agent did what was asked.", sometimes=("run_at",)),
    _ended("failed", "The task failed, and no try is left.", sometimes=("run_at",)),
    _ended("cancelled", "The task was cancelled."),
    _ended(
        "blocked", "A dependency failed, or its attempts kept killing the worker.", sometimes=("depends_on",)
    ),
    _ended("asked", "The agent asked a question; the task waits for the answer."),
    _ended("held", "Something keeps the task from starting.", "hold", "hold_until", sometimes=("run_at",)),
    _ended(
        "retry_scheduled",
        "The attempt failed and counts; another follows at `run_at`.",
        sometimes=("run_at",),
    ),
    _ended("snoozed", "The attempt was put off and does not count.", sometimes=("run_at",)),
    EventType("limit.set", "A limit over all hosts was set or taken away.", ("scope", "name", "limited")),
    EventType("attempt.started", "The agent is about to start.", ("state", "attempt", "worker")),
    EventType(
        "profile.applied",
        "What the attempt runs under.",
        ("attempt", "profile", "tier", "tools", "mcp_servers"),
    ),
    EventType(
        "attempt.profile_fallback",
        "A profile could not be used, and the next tier's was.",
        ("attempt", "profile", "tier", "reason", "message", "used"),
    ),
    EventType(
        "attempt.ended",
        "How the attempt ended; `lost` when its worker died. What a rehearsal cost is notional.",
        ("attempt", "outcome", "rehearsal"),
        ("cost_usd", "turns", "counted", "worker"),
    ),
    EventType("question.asked", "What the agent asks a person.", ("attempt", "question")),
    EventType("progress.reported", "The agent says how far it is.", ("attempt", "text", "percent")),
    EventType("tool.called", "An agent called a command.", ("attempt", "tool", "profile")),
    EventType("tool.refused", "An agent was refused a command.", ("attempt", "tool", "profile", "reason")),
    EventType("project.created", "A project was added."),
    EventType("project.updated", "Fields of a project were changed.", ("fields",)),
    EventType("project.paused", "No more of the project's tasks start."),
    EventType("project.resumed", "The project's tasks start again."),
    EventType("schedule.created", "A schedule was added."),
    EventType("schedule.updated", "Fields of a schedule were changed.", ("fields",)),
    EventType("schedule.deleted", "A schedule was removed; the tasks it made go on."),
    EventType(
        "schedule.paused",
        "A schedule makes no more tasks: a person, or what it needs is missing.",
        ("reason",),
    ),
    EventType("schedule.resumed", "A paused schedule goes on with its next occurrence."),
    EventType(
        "schedule.fired",
        "An occurrence made a task; without `scheduled_for`, a person (`by`) made the schedule run.",
        ("scheduled_for", "task"),
        ("late_seconds", "by"),
    ),
    EventType(
        "schedule.queued",
        "An occurrence waits until what the schedule made before has ended.",
        ("scheduled_for", "message"),
    ),
    EventType(
        "schedule.skipped",
        "An occurrence makes no task; `reason` is overlap, queue_full or condition.",
        ("scheduled_for", "reason", "message"),
    ),
    EventType(
        "schedule.missed",
        "Occurrences that nobody was there for make no task; with `more` there were others before `count`.",
        ("first", "last", "count", "more", "policy"),
    ),
    EventType("profile.changed", "A profile's document was accepted.", (*_DOCUMENT, "digest", "warnings")),
    EventType("profile.rejected", "A profile's document cannot be used.", (*_DOCUMENT, "error")),
    EventType("profile.removed", "A profile's document is gone.", _DOCUMENT),
    EventType("mcp_server.changed", "A server's document was accepted.", (*_DOCUMENT, "digest", "warnings")),
    EventType("mcp_server.rejected", "A server's document cannot be used.", (*_DOCUMENT, "error")),
    EventType("mcp_server.removed", "A server's document is gone.", _DOCUMENT),
    EventType(
        "events.gap",
        "Told to one reader and stored nowhere: what came between these ids may have been removed.",
        ("after", "first"),
    ),
    EventType(
        "vault.synced",
        "The vault was read, and something had changed. `seconds` are those of reading and comparing.",
        ("accepted", "rejected", "removed", "unchanged", "seconds"),
    ),
)
"""In the order of the documentation, whose table is this one."""

BY_NAME: Final = {one.name: one for one in KNOWN_EVENTS}


def checked_types(types: tuple[str, ...]) -> tuple[str, ...]:
    """The same, as each fits some event: nobody should wait for what cannot come. Raises InvalidInput."""
    names = [event.name for event in KNOWN_EVENTS]
    for wanted in types:
        if not any(fits(wanted, name) for name in names):
            near = get_close_matches(wanted.rstrip("*"), names, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else "; docs/events.md lists them"
            raise InvalidInput(f"no event has the type {wanted!r}{meant}", field="type")
    return types
