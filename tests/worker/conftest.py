"""A worker in a laboratory: real databases, a real vault, and the fake agent in the place of Claude Code."""

import asyncio
import itertools
import json
import stat
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.attempt import AgentMessage, Attempt
from orchestrator.domain.event import Event
from orchestrator.domain.project import Project
from orchestrator.domain.task import NewTask, Task, TaskState
from orchestrator.harness.claude.adapter import ClaudeAdapter
from orchestrator.harness.claude.config import ClaudeAdapterConfig, Timers
from orchestrator.harness.platform import PlatformRegistry
from orchestrator.harness.process import Isolation, probe
from orchestrator.store import attempts, events, projects, tasks
from orchestrator.store.database import Database, open_database
from orchestrator.store.outbox import Topic
from orchestrator.vault.sync import VaultSync
from orchestrator.worker.config import WorkerConfig
from orchestrator.worker.loop import Worker
from orchestrator.worker.stop import Stop

TESTS = Path(__file__).parents[1]
BOUND = 30.0
NOT_CONFIGURED = ("secrets", "ceiling", "execute", "since_boot")
FINAL = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED, TaskState.BLOCKED})


@dataclass
class Lab:
    """What a test does with a worker. Times are short, so that nothing waits for long."""

    database: Database
    home: Path
    registry: PlatformRegistry
    vault: Path
    prefix: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    """Tests run side by side, and leftovers are found by the names of their attempts."""
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def project(self, project_id: str = "acme", **fields: Any) -> Project:
        project = Project(id=project_id, name=project_id, created_at=1.0, updated_at=1.0, **fields)
        self.database.run_sync(projects.create, project)
        return project

    def ask(self, script: str = "", *, project: str = "acme", **fields: Any) -> str:
        """Queue a task whose agent carries out `script`; answers with its id."""
        if self.database.read_sync(projects.get, project) is None:
            self.project(project)
        task_id = f"{self.prefix}-{next(self.numbers):03}"
        wanted = NewTask(
            **{"project_id": project, "title": f"Task {task_id}", "prompt": f"FAKE[{script}]", **fields}
        )
        self.database.run_sync(tasks.create, wanted, task_id=task_id, now=time.time())
        return task_id

    def task(self, task_id: str) -> Task:
        found = self.database.read_sync(tasks.get, task_id)
        assert found is not None
        return found

    def attempts(self, task_id: str) -> list[Attempt]:
        return self.database.read_sync(attempts.of_task, task_id)

    def messages(self, task_id: str, number: int = 1) -> list[AgentMessage]:
        return self.database.read_sync(attempts.messages, task_id, number)

    def events(self, task_id: str, kind: str | None = None) -> list[Event]:
        stored = self.database.read_sync(events.after, 0, task_id=task_id, limit=10_000)
        return [one.event for one in stored if kind in (None, one.event.kind)]

    def worker(self, **fields: Any) -> Worker:
        times = {"lease_seconds": 10.0, "heartbeat_seconds": 0.3, "poll_seconds": 0.5, "drain_seconds": 0.1}
        arguments = {key: fields.pop(key) for key in NOT_CONFIGURED if key in fields}
        return Worker(
            config=WorkerConfig(**{"name": "test", "home": self.home, "slots": 2, **times, **fields}),
            database=self.database,
            registry=self.registry,
            **arguments,
        )

    @asynccontextmanager
    async def working(self, worker: Worker | None = None, **fields: Any) -> AsyncIterator[Stop]:
        """A worker at work for as long as the scope lasts."""
        stop = Stop()
        running = asyncio.create_task((worker or self.worker(**fields)).run(stop))
        try:
            async with asyncio.timeout(BOUND):
                yield stop
        finally:
            if not stop.drain.is_set():
                stop.set()
            async with asyncio.timeout(BOUND):
                await running

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait, event by event, until it is so."""
        async with asyncio.timeout(BOUND), self.database.listener(Topic.EVENTS) as listener:
            while not done():
                await listener.wait(0.2)

    def settle(self, *task_ids: str, **fields: Any) -> list[Task]:
        """Work until the first attempt of each has been recorded."""

        async def work() -> None:
            async with self.working(**fields):
                await self.until(lambda: all(self.recorded(task_id) for task_id in task_ids))

        asyncio.run(work())
        return [self.task(task_id) for task_id in task_ids]

    def recorded(self, task_id: str) -> bool:
        task = self.task(task_id)
        return task.state in FINAL or task.hold is not None or bool(self.events(task_id, "attempt.ended"))

    def write_profile(self, profile_id: str, *, project: str | None = None, **fields: Any) -> Path:
        """Write a profile's document, or an overlay's, and take the vault in. `config`, `allowed`, `servers`,
        `role` and `text`, the whole document, are what it may have."""
        scope = self.vault / "projects" / project if project else self.vault
        path = scope / "agent-types" / profile_id / "profile.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fields.get("text") or _document(profile_id, **fields), encoding="utf-8")
        self.sync()
        return path

    def sync(self) -> None:
        asyncio.run(VaultSync(database=self.database, root=self.vault).run_once())


def _document(profile_id: str, **fields: Any) -> str:
    parts = [f"---\nid: {profile_id}\nname: {fields.get('name', profile_id.title())}\n---\n"]
    if "role" in fields:
        parts.append(f"## Role\n{fields['role']}\n")
    if "config" in fields:
        parts.append(f"## Config\n```json\n{json.dumps(fields['config'])}\n```\n")
    if "allowed" in fields:
        parts.append(f"## Tools\n```json\n{json.dumps({'allowed': fields['allowed']})}\n```\n")
    if "servers" in fields:
        parts.append(f"## MCP Servers\n```json\n{json.dumps(fields['servers'])}\n```\n")
    return "\n".join(parts)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def isolation() -> Isolation:
    return probe()


@pytest.fixture(scope="session")
def fake_cli(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bin") / "claude"
    _, _, rest = (TESTS / "fakes" / "agent.py").read_text(encoding="utf-8").partition("\n")
    path.write_text(f"#!{sys.executable} -ISE\n{rest}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def lab(database: Database, tmp_path: Path, fake_cli: str, isolation: Isolation) -> Lab:
    return _lab(database, tmp_path, fake_cli, isolation)


@pytest.fixture
def sqlite_lab(
    sqlite_url: str, tmp_path: Path, fake_cli: str, isolation: Isolation, open_sqlite: Callable[[], Database]
) -> Lab:
    """The same on SQLite alone, for what does not depend on the database."""
    return _lab(open_sqlite(), tmp_path, fake_cli, isolation)


@pytest.fixture
def open_sqlite(sqlite_url: str) -> Any:
    opened: list[Database] = []

    def another() -> Database:
        opened.append(open_database(sqlite_url))
        return opened[-1]

    yield another
    for one in opened:
        one.close()


def _lab(database: Database, tmp_path: Path, fake_cli: str, isolation: Isolation) -> Lab:
    vault = tmp_path / "vault"
    vault.mkdir()
    base = ClaudeAdapterConfig(cli_path=fake_cli, timers=Timers(start=15, stall=15, drain=5), rehearsal=True)
    registry = PlatformRegistry(base=base, adapter=ClaudeAdapter(isolation=isolation))
    return Lab(database=database, home=tmp_path / "home", registry=registry, vault=vault)
