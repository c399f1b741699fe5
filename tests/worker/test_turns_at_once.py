"""Two workers that decide at the same instant, each for another project."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import text

from orchestrator.domain.project import CheckoutKind, Project
from orchestrator.domain.task import NewTask
from orchestrator.store import projects, tasks
from orchestrator.store.database import Database, Transaction
from orchestrator.worker.basis import Turned
from orchestrator.worker.turn import turn
from turns import counsel, order

BOUND = 20.0
WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")


async def waits_or_is_done(database: Database, deciding: asyncio.Task[Turned]) -> None:
    """On SQLite a writer that waits cannot be told from one that has not begun; it waits in any case."""
    async with asyncio.timeout(BOUND):
        while database.dialect == "postgresql" and not deciding.done():
            if await database.read(lambda tx: tx.execute(WAITING).scalar_one()):
                return


@pytest.mark.parametrize("shared", [True, False], ids=["the same directory", "two directories"])
def test_projects_that_share_a_directory_have_one_attempt_between_them(
    open_again: Callable[[], Database], shared: bool
) -> None:
    first, second = open_again(), open_again()
    for name, place in {"east": "/srv/shop", "west": "/srv/shop" if shared else "/srv/other"}.items():
        project = Project(
            id=name,
            name=name,
            created_at=1.0,
            updated_at=1.0,
            checkout=CheckoutKind.DIRECTORY,
            repository=place,
        )
        first.run_sync(projects.create, project)
        wanted = NewTask(project_id=name, title="T", prompt="Do it.", requires=(name,))
        first.run_sync(tasks.create, wanted, task_id=name, now=1.0)
    claimed, go_on = threading.Event(), threading.Event()

    def decided_and_not_yet_committed(tx: Transaction) -> Turned:
        turned = turn(tx, order("w1", slots=2, labels=frozenset({"east"})), counsel())
        claimed.set()
        assert go_on.wait(BOUND)
        return turned

    async def at_once() -> list[Turned]:
        one = asyncio.create_task(first.run(decided_and_not_yet_committed))
        assert await asyncio.to_thread(claimed.wait, BOUND)
        west = order("w2", slots=2, labels=frozenset({"west"}))
        other = asyncio.create_task(second.run(turn, west, counsel()))
        try:
            await waits_or_is_done(first, other)
        finally:
            go_on.set()
        return await asyncio.gather(one, other)

    started = [claim.task.id for turned in asyncio.run(at_once()) for claim, _slot in turned.claims]
    assert started == (["east"] if shared else ["east", "west"])
