"""What the store's tests share: the databases, and a project with tasks to work on."""

import importlib.util
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.domain.project import Project
from orchestrator.domain.task import NewTask, Task
from orchestrator.store import projects, tasks
from orchestrator.store.database import Database

_spec = importlib.util.spec_from_file_location("databases", Path(__file__).parents[1] / "databases.py")
assert _spec
assert _spec.loader
if _spec.name not in sys.modules:
    sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_spec.name])
_databases = sys.modules[_spec.name]

postgres_server = _databases.postgres_server
sqlite_template = _databases.sqlite_template
sqlite_url = _databases.sqlite_url
postgres_url = _databases.postgres_url
database_url = _databases.database_url
open_again = _databases.open_again
database = _databases.database

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
