"""What a transaction announces when it commits: events to record, and who is to look again."""
# ruff: noqa: S608 - every piece of the statement below is a constant of this package; values are parameters.

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, select, text
from sqlalchemy import func as sql

from orchestrator.domain.event import Event
from orchestrator.store.columns import dumps
from orchestrator.store.rowset import DIALECTS, parameter, source

_KEY: Final = "orchestrator.outbox"
_EVENT_ORDER: Final = 0x6F72636865  # an advisory lock of ours; any number that nobody else uses


_ROW: Final = {
    "place": "int",
    "kind": "text",
    "subject": "text",
    "at": "float8",
    "project": "text",
    "task": "text",
    "data": "text",
}
_RECORD: Final = {
    dialect: text(
        "INSERT INTO events (kind, subject, at, project_id, task_id, data) "
        f"SELECT kind, subject, at, project, task, data FROM {source(dialect, _ROW)} ORDER BY place"
    )
    for dialect in DIALECTS
}


_NEXT_RULES: Final = text(
    "INSERT INTO rules (id, version) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET version = rules.version + 1"
)


class Topic(StrEnum):
    """What a loop can wait for."""

    QUEUE = "queue"
    """Something changed that may let a task start, stop or be seen differently by a worker."""
    EVENTS = "events"
    """Events were recorded."""
    SCHEDULES = "schedules"
    """A schedule may be due at another time than before."""
    REMOTE = "remote"
    """Somebody wants the vault's remote looked at. It says nothing of any row, so it is marked or it is not:
    a change that was not announced is no reason to go over the network."""


@dataclass(slots=True)
class Outbox:
    events: list[Event] = field(default_factory=list)
    topics: set[Topic] = field(default_factory=set)
    rules: bool = False


def open_outbox(tx: Connection) -> Outbox:
    """A fresh outbox; what an earlier transaction on this connection left unsent is forgotten with it."""
    outbox = Outbox()
    tx.info[_KEY] = outbox
    return outbox


def mark_changed(tx: Connection, topic: Topic = Topic.QUEUE) -> None:
    """Wake everyone who waits for `topic`, in every process, once this transaction has committed."""
    _of(tx).topics.add(topic)


def mark_rules_changed(tx: Connection) -> None:
    """What decides whether a task may start, and as what, is another once this transaction has committed:
    profiles, servers, projects, limits, providers. What a worker remembers of them holds no more."""
    _of(tx).rules = True
    mark_changed(tx)


def announce(tx: Connection, *facts: Event) -> None:
    """Record events with this transaction. They are written last, just before it commits."""
    outbox = _of(tx)
    outbox.events.extend(facts)
    if facts:
        outbox.topics.add(Topic.EVENTS)


def flush(tx: Connection) -> None:
    """Write the events, and that the rules are others.

    A reader resumes after the last id it saw, so ids must become visible in order: on PostgreSQL the lock
    makes the order of ids the order of commits, and SQLite has one writer anyway. Last in the
    transaction, so that the locks are held for one insert and the commit.
    """
    if _of(tx).rules:
        tx.execute(_NEXT_RULES)
    facts = _of(tx).events
    if not facts:
        return
    if tx.dialect.name == "postgresql":
        tx.execute(select(sql.pg_advisory_xact_lock(_EVENT_ORDER)))
    rows = (
        {
            "place": place,
            "kind": fact.kind,
            "subject": fact.subject,
            "at": fact.at,
            "project": fact.project_id,
            "task": fact.task_id,
            "data": dumps(dict(fact.data)),
        }
        for place, fact in enumerate(facts)
    )
    tx.execute(_RECORD[tx.dialect.name], {"rows": parameter(rows)})


def _of(tx: Connection) -> Outbox:
    outbox: Outbox = tx.info[_KEY]
    return outbox
