"""Workers: who is there, and how many attempts they can have at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, update

from orchestrator.store.tables import workers

SEEN_SECONDS: Final = 60.0
"""A worker that was not heard of for this long is taken to be gone."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """The workers that were heard of lately and do not drain."""

    workers: int
    slots: int


def register(tx: Connection, worker: Worker) -> None:
    """Present itself; a row left by an earlier process of the same id is replaced."""
    tx.execute(delete(workers).where(workers.c.id == worker.id))
    names = ("id", "host", "pid", "version", "slots", "started_at", "seen_at", "draining", "details")
    tx.execute(insert(workers).values({name: getattr(worker, name) for name in names}))


def seen(tx: Connection, worker_id: str, *, now: float, draining: bool | None = None) -> bool:
    """It lives. False when it is not registered."""
    changes: dict[str, float | bool] = {"seen_at": now}
    if draining is not None:
        changes["draining"] = draining
    return tx.execute(update(workers).where(workers.c.id == worker_id).values(changes)).rowcount == 1


def leave(tx: Connection, worker_id: str) -> None:
    tx.execute(delete(workers).where(workers.c.id == worker_id))


def list_workers(tx: Connection) -> list[Worker]:
    """All that are registered, by id; those not seen lately are among them."""
    query = select(
        workers.c.id,
        workers.c.host,
        workers.c.pid,
        workers.c.version,
        workers.c.slots,
        workers.c.started_at,
        workers.c.seen_at,
        workers.c.draining,
        workers.c.details,
    ).order_by(workers.c.id)
    return [Worker(**row) for row in tx.execute(query).mappings()]


def fleet(tx: Connection, *, now: float) -> Fleet:
    query = select(func.count(), func.sum(workers.c.slots)).where(
        workers.c.seen_at > now - SEEN_SECONDS, ~workers.c.draining
    )
    count, slots = tx.execute(query).one()
    return Fleet(workers=count, slots=slots or 0)
