"""Dependencies when several things happen at the same moment, which only PostgreSQL lets happen."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, update

from orchestrator.domain.project import Project
from orchestrator.domain.task import NewTask, TaskState
from orchestrator.store import dependencies, projects, tasks
from orchestrator.store.database import Database, open_database
from orchestrator.store.tables import tasks as table

pytestmark = pytest.mark.postgres

NOW = 1_800_000_000.0


def add(tx: Connection, task_id: str, *depends_on: str) -> None:
    new = NewTask(project_id="acme", title="T", prompt="Do it.", depends_on=depends_on)
    tasks.create(tx, new, task_id=task_id, now=NOW)


def complete(tx: Connection, task_id: str, pause: Callable[[], object] = lambda: None) -> None:
    """What settling does: write the ending, then look at who waited."""
    tx.execute(update(table).where(table.c.id == task_id).values(state="COMPLETED"))
    pause()
    dependencies.after_ending(tx, [task_id], now=NOW)


@pytest.fixture
def shared(postgres_url: str) -> Database:
    database = open_database(postgres_url)
    database.run_sync(projects.create, Project(id="acme", name="Acme", created_at=NOW, updated_at=NOW))
    return database


def test_of_two_dependencies_that_complete_at_once_one_sets_the_task_free(shared: Database) -> None:
    meet = threading.Barrier(2, timeout=20)

    async def at_once() -> None:
        await shared.run(add, "a")
        await shared.run(add, "b")
        await shared.run(add, "c", "a", "b")
        await asyncio.gather(shared.run(complete, "a", meet.wait), shared.run(complete, "b", meet.wait))

    asyncio.run(at_once())
    task = shared.read_sync(tasks.get, "c")
    shared.close()
    assert task is not None
    assert task.state is TaskState.READY


def test_a_dependency_that_completes_while_it_is_named_is_not_missed(shared: Database) -> None:
    """Whichever of the two comes first, the new task must not wait for what is already over."""
    written, named = threading.Event(), threading.Event()

    def pause() -> None:
        written.set()
        named.wait(0.3)  # naming it has to wait for this transaction

    async def at_once() -> None:
        await shared.run(add, "a")
        ending = asyncio.create_task(shared.run(complete, "a", pause))
        await asyncio.to_thread(written.wait, 10)
        await shared.run(add, "b", "a")
        named.set()
        await ending

    asyncio.run(at_once())
    task = shared.read_sync(tasks.get, "b")
    shared.close()
    assert task is not None
    assert task.state is TaskState.READY
