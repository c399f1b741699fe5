"""Worker processes that tests kill, stop and continue, over both databases."""

import json
import signal
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.domain.project import Project
from orchestrator.domain.task import NewTask, Task
from orchestrator.store import events, projects, tasks
from orchestrator.store.database import Database

TESTS = Path(__file__).parents[1]


@dataclass
class Site:
    """A database, a home and the worker processes over them."""

    url: str
    database: Database
    home: Path
    cli: str
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    prefix: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def ask(self, number: int, script: str) -> str:
        if self.database.read_sync(projects.get, "acme") is None:
            project = Project(id="acme", name="Acme", created_at=1.0, updated_at=1.0)
            self.database.run_sync(projects.create, project)
        task_id = f"{self.prefix}-{number:03}"
        wanted = NewTask(project_id="acme", title=task_id, prompt=f"FAKE[{script}]")
        self.database.run_sync(tasks.create, wanted, task_id=task_id, now=time.time())
        return task_id

    def start(self, **worker: Any) -> subprocess.Popen[bytes]:
        """A worker process that has loaded and begins to work."""
        times = {"lease_seconds": 3.0, "heartbeat_seconds": 0.5, "poll_seconds": 0.5, "drain_seconds": 10.0}
        given = {
            "url": self.url,
            "home": str(self.home),
            "cli": self.cli,
            "worker": {"name": "victim", "slots": 2, **times, **worker},
        }
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker_process.py")), json.dumps(given)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", process.stdout.read().decode()
        return process

    def until(self, done: Callable[[], bool], seconds: float = 40.0) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, "it did not come about in time"
            time.sleep(0.02)

    def task(self, task_id: str) -> Task:
        found = self.database.read_sync(tasks.get, task_id)
        assert found is not None
        return found

    def completed(self) -> int:
        return self.database.read_sync(projects.count_tasks, "acme").get("COMPLETED", 0)

    def kinds(self, task_id: str) -> list[str]:
        stored = self.database.read_sync(events.after, 0, task_id=task_id, limit=10_000)
        return [one.event.kind for one in stored]

    def processes(self, *signs: str) -> list[str]:
        """Living processes of this site's attempts, and those whose command line has one of the signs."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                command = process.cmdline()
                marker = process.environ().get("ORCHESTRATOR_ATTEMPT", "")
            except (psutil.Error, OSError):
                continue
            if marker.startswith(self.prefix) or set(signs) & set(command):
                found.append(f"{process.pid} {marker} {command}")
        return found


@pytest.fixture(scope="session")
def fake_cli(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bin") / "claude"
    _, _, rest = (TESTS / "fakes" / "agent.py").read_text(encoding="utf-8").partition("\n")
    path.write_text(f"#!{sys.executable} -ISE\n{rest}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def site(database_url: str, database: Database, tmp_path: Path, fake_cli: str) -> Iterator[Site]:
    found = Site(url=database_url, database=database, home=tmp_path / "home", cli=fake_cli)
    yield found
    for process in found.started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()
