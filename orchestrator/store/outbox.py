"""What a transaction announces when it commits: events to record, and who is to look again."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, insert, select
from sqlalchemy import func as sql

from orchestrator.domain.event import Event
from orchestrator.store.tables import events

_KEY: Final = "orchestrator.outbox"
_INSERT: Final = insert(events)
_EVENT_ORDER: Final = 0x6F72636865  # an advisory lock of ours; any number that nobody else uses


class Topic(StrEnum):
    """What a loop can wait for."""

    QUEUE = "queue"
    """Something changed that may let a task start, stop or be seen differently by a worker."""
    EVENTS = "events"
    """Events were recorded."""


@dataclass(slots=True)
class Outbox:
    events: list[Event] = field(default_factory=list)
    topics: set[Topic] = field(default_factory=set)


def open_outbox(tx: Connection) -> Outbox:
    """A fresh outbox; what an earlier transaction on this connection left unsent is forgotten with it."""
    outbox = Outbox()
    tx.info[_KEY] = outbox
    return outbox


def mark_changed(tx: Connection, topic: Topic = Topic.QUEUE) -> None:
    """Wake everyone who waits for `topic`, in every process, once this transaction has committed."""
    _of(tx).topics.add(topic)


def announce(tx: Connection, *facts: Event) -> None:
    """Record events with this transaction. They are written last, just before it commits."""
    outbox = _of(tx)
    outbox.events.extend(facts)
    if facts:
        outbox.topics.add(Topic.EVENTS)


def flush(tx: Connection) -> None:
    """Write the events. A reader resumes after the last id it saw, so ids must become visible in order:
    on PostgreSQL the lock makes the order of ids the order of commits, and SQLite has one writer anyway.
    Last in the transaction, so that the lock is held for one insert and the commit."""
    facts = _of(tx).events
    if not facts:
        return
    if tx.dialect.name == "postgresql":
        tx.execute(select(sql.pg_advisory_xact_lock(_EVENT_ORDER)))
    tx.execute(
        _INSERT,
        [
            {
                "kind": fact.kind,
                "subject": fact.subject,
                "at": fact.at,
                "project_id": fact.project_id,
                "task_id": fact.task_id,
                "data": dict(fact.data),
            }
            for fact in facts
        ],
    )


def _of(tx: Connection) -> Outbox:
    outbox: Outbox = tx.info[_KEY]
    return outbox
