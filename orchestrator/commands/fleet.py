"""Commands on workers: who is there, and having one stop from afar."""

from dataclasses import dataclass, field

from orchestrator.commands.encoding import OPTIONAL
from orchestrator.commands.use import Use
from orchestrator.domain.errors import InvalidInput, NotFound
from orchestrator.domain.lack import lacked
from orchestrator.store import tasks, workers
from orchestrator.store.database import Transaction
from orchestrator.store.workers import SEEN_SECONDS


@dataclass(frozen=True, kw_only=True, slots=True)
class ListWorkers:
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerRow:
    id: str
    host: str
    pid: int
    version: str
    labels: tuple[str, ...]
    slots: int
    running: int
    """Attempts that it has under way."""
    started_at: float
    seen_at: float
    alive: bool
    """Whether it was heard of in the last minute."""
    draining: bool
    lacks: tuple[str, ...]
    """What its host cannot offer now, so that it leaves the tasks which need that to others:
    `checkout_unusable` with the path, `secret_missing` with the name, `process_left` with the task."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerList:
    workers: tuple[WorkerRow, ...]
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DrainWorker:
    """`worker` is its id, or the beginning of it that no other has."""

    worker: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerDraining:
    draining: str
    host: str
    running: int
    """Attempts that it has under way; what does not end in time goes on elsewhere."""
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)


async def list_workers(use: Use, request: ListWorkers) -> WorkerList:
    """List the workers of all hosts, those included that were not heard of lately."""
    del request
    now = use.clock()

    def read(tx: Transaction) -> tuple[WorkerRow, ...]:
        return tuple(_row(tx, one, now=now) for one in workers.list_workers(tx))

    found = await use.database.read(read)
    return WorkerList(workers=found, count=len(found))


def _row(tx: Transaction, one: workers.Worker, *, now: float) -> WorkerRow:
    alive = one.seen_at > now - SEEN_SECONDS
    return WorkerRow(
        id=one.id,
        host=one.host,
        pid=one.pid,
        version=one.version,
        labels=one.labels,
        slots=one.slots,
        running=tasks.count_claimed(tx, workers=(one.id,)),
        started_at=one.started_at,
        seen_at=one.seen_at,
        alive=alive,
        draining=one.draining,
        # What a worker said ends with it.
        lacks=lacked(sorted(one.lacks), one.lacks, now=now) if alive else (),
    )


async def drain_worker(use: Use, request: DrainWorker) -> WorkerDraining:
    """Have a worker take nothing new, end or put off what it runs, and stop, on whichever host it is."""
    now = use.clock()

    def write(tx: Transaction) -> WorkerDraining:
        there = workers.list_workers(tx)
        fits = [one for one in there if one.id.startswith(request.worker)] if request.worker else []
        if len(fits) > 1:
            raise InvalidInput(
                f"worker {request.worker!r} fits several: {', '.join(one.id for one in fits[:6])}; "
                "give more characters",
                field="worker",
            )
        if not fits:
            raise NotFound(
                f"worker {request.worker} not found; `orchestrator worker list` shows those there are",
                field="worker",
            )
        one = fits[0]
        workers.ask_to_drain(tx, one.id)
        gone = one.seen_at <= now - SEEN_SECONDS
        return WorkerDraining(
            draining=one.id,
            host=one.host,
            running=tasks.count_claimed(tx, workers=(one.id,)),
            warnings=("it was not heard of for a minute",) if gone else (),
        )

    return await use.database.run(write)
