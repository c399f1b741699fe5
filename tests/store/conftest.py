"""What the store's tests share: the databases, and a project with tasks to work on."""

import itertools
from collections.abc import Callable

import pytest

from orchestrator.domain.project import Project
from orchestrator.domain.task import NewTask, Task
from orchestrator.store import projects, tasks
from orchestrator.store.database import Database

NOW = 1_800_000_000.0


@pytest.fixture
def acme(database: Database) -> Project:
    project = Project(id="acme", name="Acme", created_at=NOW, updated_at=NOW)
    database.run_sync(projects.create, project)
    return project


@pytest.fixture
def ask(database: Database, acme: Project) -> Callable[..., Task]:
    """Queues a task of the project and answers with it; fields as of `NewTask`, and `now`."""
    numbers = itertools.count(1)

    def create(*, now: float = NOW, task_id: str | None = None, **fields: object) -> Task:
        wanted = NewTask(**{"project_id": acme.id, "title": "T", "prompt": "Do it.", **fields})  # type: ignore[arg-type]
        return database.run_sync(tasks.create, wanted, task_id=task_id or f"t{next(numbers):04}", now=now)

    return create
