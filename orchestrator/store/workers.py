"""Workers: who is there, and how many attempts they can have at once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, true, update

from orchestrator.domain.lack import Lacks
from orchestrator.store.outbox import mark_changed
from orchestrator.store.tables import workers

SEEN_SECONDS: Final = 60.0
"""A worker that was not heard of for this long is taken to be gone."""

FORGOTTEN_SECONDS: Final = 86400.0
"""One that was not heard of for a day is not listed any more; its host may be gone for good."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    id: str
    host: str
    pid: int
    version: str
    slots: int
    started_at: float
    seen_at: float
    draining: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)
    """How to recognise the process on its host: its boot, and when it started."""
    labels: tuple[str, ...] = ()
    """What tasks and projects can require of it."""
    drain_asked: bool = False
    turning_since: float | None = None
    """When the turn of its loop began that had not come to an end by its last heartbeat."""
    lacks: Lacks = field(default_factory=dict)
    """What its host cannot offer, and others may."""

    def carries(self, required: Collection[str]) -> bool:
        """Whether it has all these labels."""
        return set(required) <= set(self.labels)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """The workers that were heard of lately and do not drain."""

    workers: int
    slots: int


_NAMES: Final = tuple(one.name for one in fields(Worker))
_COLUMNS: Final = tuple(workers.c[name] for name in _NAMES)


def register(tx: Connection, worker: Worker) -> None:
    """Present itself; a row left by an earlier process of the same id is replaced."""
    tx.execute(delete(workers).where(workers.c.id == worker.id))
    values = {name: getattr(worker, name) for name in _NAMES}
    tx.execute(insert(workers).values({**values, "labels": list(worker.labels)}))


def seen(
    tx: Connection,
    worker_id: str,
    *,
    now: float,
    draining: bool = False,
    turning_since: float | None = None,
) -> bool:
    """It lives. False when it is not registered. One that is to drain stays marked so."""
    row = update(workers).where(workers.c.id == worker_id)
    drains = true() if draining else workers.c.drain_asked
    return tx.execute(row.values(seen_at=now, draining=drains, turning_since=turning_since)).rowcount == 1


def say_lacks(tx: Connection, worker_id: str, lacks: Lacks) -> None:
    """What the others are to know that its host lacks from now on."""
    tx.execute(update(workers).where(workers.c.id == worker_id).values(lacks=dict(lacks)))


def ask_to_drain(tx: Connection, worker_id: str) -> bool:
    """Have a worker stop as SIGTERM does, wherever it runs. False when it is not registered."""
    asked = update(workers).where(workers.c.id == worker_id).values(drain_asked=True, draining=True)
    if tx.execute(asked).rowcount != 1:
        return False
    mark_changed(tx)
    return True


def asked_to_drain(tx: Connection, worker_id: str) -> bool:
    return bool(tx.execute(select(workers.c.drain_asked).where(workers.c.id == worker_id)).scalar())


def leave(tx: Connection, worker_id: str) -> None:
    tx.execute(delete(workers).where(workers.c.id == worker_id))


def forget(tx: Connection, *, now: float) -> int:
    """Drop the rows of those that went away without a word long ago. Returns how many there were."""
    old = workers.c.seen_at < now - FORGOTTEN_SECONDS
    return tx.execute(delete(workers).where(old)).rowcount


def list_workers(tx: Connection) -> list[Worker]:
    """All that are registered, by id; those not seen lately are among them."""
    rows = tx.execute(select(*_COLUMNS).order_by(workers.c.id)).mappings()
    return [Worker(**{**row, "labels": tuple(row["labels"])}) for row in rows]


def alive(tx: Connection, *, now: float) -> list[Worker]:
    """Those that were heard of lately and do not drain."""
    return [one for one in list_workers(tx) if one.seen_at > now - SEEN_SECONDS and not one.draining]


def fleet(tx: Connection, *, now: float) -> Fleet:
    query = select(func.count(), func.sum(workers.c.slots)).where(
        workers.c.seen_at > now - SEEN_SECONDS, ~workers.c.draining
    )
    count, slots = tx.execute(query).one()
    return Fleet(workers=count, slots=slots or 0)
