"""Questions that nobody answered in time: their tasks end."""

import structlog

from orchestrator.domain.task import Task
from orchestrator.store import questions, queue
from orchestrator.store.database import Database, Transaction

log = structlog.get_logger()


async def end_unanswered(database: Database) -> None:
    """Any worker does it, whoever ran the agent that asked. Raises DatabaseUnavailable."""
    if await database.read(_some):
        for task in await database.run(_lapse):
            log.warning("task.unanswered", task_id=task.id, attempt=task.attempt)


def _some(tx: Transaction) -> bool:
    return questions.any_overdue(tx, now=queue.clock(tx))


def _lapse(tx: Transaction) -> list[Task]:
    return questions.lapse(tx, now=queue.clock(tx))
