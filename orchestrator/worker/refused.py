"""Endings that the database refuses together: each is recorded alone, the one at fault as a fault."""

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from orchestrator.domain.ending import Ending
from orchestrator.domain.errors import DatabaseUnavailable
from orchestrator.domain.outcome import WorkerFault
from orchestrator.domain.task import Claim
from orchestrator.store import queue, settling
from orchestrator.store.database import Database, Transaction

log = structlog.get_logger()

REASON_LIMIT: Final = 300
"""Characters of a driver's complaint that are kept; it may repeat the whole statement."""

Fault = Callable[[Claim, WorkerFault], Ending]


async def record_one_by_one(
    database: Database, endings: Sequence[Ending], *, worker: str, fault: Fault
) -> tuple[Ending, ...]:
    """Record each in a transaction of its own, so that one which cannot be stored harms no other; `fault`
    makes what is stored in its place. Returns those that could not be recorded because the database is away.

    One that is refused even so is left to its lease: it runs out, and the task is rescued.
    """
    for place, ending in enumerate(endings):
        try:
            await database.run(_settle, ending, worker)
        except DatabaseUnavailable:
            return tuple(endings[place:])
        except Exception as error:  # whatever a driver may say of what a stranger wrote
            log.exception("ending.refused", task_id=ending.claim.task.id, attempt=ending.claim.attempt)
            try:
                await database.run(_settle, fault(ending.claim, _refused(error)), worker)
            except DatabaseUnavailable:
                return tuple(endings[place:])
            except Exception:  # it must not keep the others from being recorded, nor end the worker
                log.exception("ending.lost", task_id=ending.claim.task.id, attempt=ending.claim.attempt)
    return ()


def _settle(tx: Transaction, ending: Ending, worker: str) -> None:
    settling.settle(tx, (ending,), worker=worker, now=queue.clock(tx))


def _refused(error: Exception) -> WorkerFault:
    said = str(error).strip().split("\n", 1)[0][:REASON_LIMIT].replace("\0", "")
    return WorkerFault(
        message=f"How the attempt ended could not be stored: {said}. What its agent said is in its log."
    )
