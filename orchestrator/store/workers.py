"""Workers: who is there, on which host, and when they were last heard of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from orchestrator.store.tables import workers


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerRow:
    """A worker process. `id` is of this very process: a restart under the same name is another worker.

    `details` says how to recognise the process on its host: `boot` and `started` as the kernel has them.
    """

    id: str
    host: str
    pid: int
    version: str
    slots: int
    started_at: float
    seen_at: float
    draining: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)


def register(tx: Connection, row: WorkerRow) -> None:
    names = WorkerRow.__dataclass_fields__
    tx.execute(insert(workers).values({**{name: getattr(row, name) for name in names}}))


_SEEN: Final = (
    update(workers)
    .where(workers.c.id == bindparam("b_id"))
    .values(seen_at=bindparam("b_now"), draining=bindparam("b_draining"))
)


def seen(tx: Connection, worker: str, *, now: float, draining: bool) -> None:
    tx.execute(_SEEN, {"b_id": worker, "b_now": now, "b_draining": draining})


def on_host(tx: Connection, host: str) -> list[WorkerRow]:
    """Every worker that registered on this host and has not been removed."""
    rows = tx.execute(select(workers).where(workers.c.host == host).order_by(workers.c.started_at))
    return [WorkerRow(**row) for row in rows.mappings()]


def everywhere(tx: Connection) -> list[WorkerRow]:
    """Every worker there is, the longest running first."""
    return [WorkerRow(**row) for row in tx.execute(select(workers).order_by(workers.c.started_at)).mappings()]


def remove(tx: Connection, *ids: str) -> None:
    tx.execute(delete(workers).where(workers.c.id.in_(ids)))


_STALE: Final = delete(workers).where(workers.c.seen_at < bindparam("b_before"))


def forget(tx: Connection, *, before: float) -> int:
    """Remove the rows of workers that were last seen before `before`."""
    return int(tx.execute(_STALE, {"b_before": before}).rowcount)
