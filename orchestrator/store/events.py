"""The outbox: facts recorded in the transaction that makes them true, read from the last one seen."""

from collections.abc import Collection

from sqlalchemy import Connection, Row, func, select

from orchestrator.domain.event import Event, StoredEvent
from orchestrator.store import outbox
from orchestrator.store.tables import events

PAGE = 500


def append(tx: Connection, *facts: Event) -> None:
    """Record facts with this transaction; their ids are given when it commits."""
    outbox.announce(tx, *facts)


def after(
    tx: Connection,
    last: int,
    *,
    limit: int = PAGE,
    project_id: str | None = None,
    task_id: str | None = None,
    kinds: Collection[str] = (),
) -> list[StoredEvent]:
    """The events that follow the one with the id `last`, oldest first. None is ever added before one that
    was already readable, so whoever resumes from the last id he saw has missed nothing."""
    query = select(events).where(events.c.id > last).order_by(events.c.id).limit(limit)
    if project_id is not None:
        query = query.where(events.c.project_id == project_id)
    if task_id is not None:
        query = query.where(events.c.task_id == task_id)
    if kinds:
        query = query.where(events.c.kind.in_(kinds))
    return [_stored(row) for row in tx.execute(query)]


def last_id(tx: Connection) -> int:
    """The id of the latest event, to follow from now on; 0 when there is none."""
    return tx.execute(select(func.max(events.c.id))).scalar_one() or 0


def first_left(tx: Connection, last: int) -> int | None:
    """The id of the first event there still is, when some that followed `last` may have been removed since;
    else `None`. The latest event is never removed, so that this is always known."""
    first = tx.execute(select(func.min(events.c.id))).scalar_one()
    return first if first is not None and 0 < last < first - 1 else None


def _stored(row: Row[tuple[object, ...]]) -> StoredEvent:
    return StoredEvent(
        id=row.id,
        event=Event(
            kind=row.kind,
            subject=row.subject,
            at=row.at,
            data=row.data,
            project_id=row.project_id,
            task_id=row.task_id,
        ),
    )
