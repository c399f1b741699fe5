"""What ended tasks left on the disk: by age, by size, and never of a task that goes on."""

import asyncio
import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from orchestrator.domain.project import CheckoutKind, Project
from orchestrator.domain.retention import DAY, Keep
from orchestrator.domain.task import NewTask, Task, TaskState
from orchestrator.store import archive, projects, tasks
from orchestrator.store.database import Database, open_database
from orchestrator.worker.checkouts import Checkouts
from orchestrator.worker.directories import Directories

NOW = 1_800_000_000.0
FOREVER = Keep(**dict.fromkeys(Keep.__dataclass_fields__))  # type: ignore[arg-type]  # all None


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path / 'o.db'}") as opened:
        opened.run_sync(projects.create, Project(id="acme", name="Acme", created_at=1.0, updated_at=1.0))
        yield opened


@pytest.fixture
def left(database: Database, tmp_path: Path) -> Callable[..., Path]:
    """Makes a task that ended so many days ago, or goes on, and what it left; answers with its home."""

    def make(name: str, days: float | None, *, size: int = 1, project: str = "acme") -> Path:
        wanted = NewTask(project_id=project, title="T", prompt="Do it.")
        database.run_sync(tasks.create, wanted, task_id=name, now=NOW - 99 * DAY)
        if days is not None:
            ended = "UPDATE tasks SET state = 'COMPLETED', finished_at = :at WHERE id = :id"
            at = {"at": NOW - days * DAY, "id": name}
            database.run_sync(lambda tx: tx.execute(text(ended), at))
        for place in (
            f"checkouts/{name}/src/code.py",
            f"attempts/{name}/1/temporary/cache",
            f"attempts/{name}/1/claude/projects/x/session.jsonl",
        ):
            file = tmp_path / place
            file.parent.mkdir(parents=True)
            file.write_bytes(b"x" * size)
        return tmp_path

    return make


def sweep(database: Database, home: Path, **keep: float) -> dict[str, int]:
    directories = Directories(
        home=home, database=database, keep=replace(FOREVER, **keep), clock=lambda tx: NOW
    )
    return asyncio.run(directories.sweep())


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def test_each_kind_goes_at_its_own_age(database: Database, left) -> None:
    for name, days in (("a", 40), ("b", 20), ("c", 5), ("d", 1), ("runs", None)):
        home = left(name, days)
    ages = {"scratch_days": 2, "checkouts_days": 14, "transcripts_days": 30}
    assert sweep(database, home, **ages) == {"checkouts": 2, "scratch": 3, "transcripts": 1}
    assert names(home / "checkouts") == ["c", "d", "runs"]
    assert names(home / "attempts") == ["b", "c", "d", "runs"]
    assert (home / "attempts/c/1/claude/projects/x/session.jsonl").exists()
    assert not (home / "attempts/c/1/temporary").exists()
    assert (home / "attempts/d/1/temporary/cache").exists()
    assert sweep(database, home, checkouts_days=14, transcripts_days=30) == {}


def test_the_oldest_go_when_it_is_too_much(database: Database, left) -> None:
    for name, days in (("a", 3), ("b", 2), ("c", 1), ("runs", None)):
        home = left(name, days, size=1024 * 1024)
    assert sweep(database, home, checkouts_mb=2.5) == {"checkouts": 1}
    assert names(home / "checkouts") == ["b", "c", "runs"]
    assert sweep(database, home, transcripts_mb=2.5) == {"transcripts": 2}
    assert names(home / "attempts") == ["c", "runs"]


def test_a_task_that_is_tried_again_keeps_what_it_has(database: Database, left) -> None:
    home = left("a", 99)
    directories = Directories(
        home=home, database=database, keep=replace(FOREVER, scratch_days=0), clock=lambda tx: NOW
    )
    assert asyncio.run(directories.sweep()) == {"scratch": 1}
    assert asyncio.run(directories.sweep()) == {}
    again = "UPDATE tasks SET state = :state, finished_at = :at"
    database.run_sync(lambda tx: tx.execute(text(again), {"state": "READY", "at": None}))
    (home / "attempts/a/2").mkdir()
    (home / "attempts/a/2/scratch").touch()
    assert asyncio.run(directories.sweep()) == {}
    database.run_sync(lambda tx: tx.execute(text(again), {"state": "FAILED", "at": NOW - DAY}))
    assert asyncio.run(directories.sweep()) == {"scratch": 1}
    assert names(home / "attempts/a") == ["1"]


def test_an_archived_task_is_still_known_and_a_stranger_goes_by_its_own_age(database: Database, left) -> None:
    home = left("archived", 5)
    database.run_sync(archive.archive, archive.Chosen(ended_by=NOW), now=NOW)
    for name, days in (("old-stranger", 20), ("new-stranger", 1)):
        (home / "checkouts" / name).mkdir()
        os.utime(home / "checkouts" / name, (NOW - days * DAY, NOW - days * DAY))
    assert sweep(database, home, checkouts_days=14) == {"checkouts": 1}
    assert names(home / "checkouts") == ["archived", "new-stranger"]
    assert sweep(database, home, checkouts_days=4) == {"checkouts": 1}
    assert names(home / "checkouts") == ["new-stranger"]


def test_links_that_an_agent_left_lead_nowhere(database: Database, left, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    home = left("a", 99)
    (home / "attempts/a/1/temporary/link").symlink_to(precious)
    (home / "attempts/a/1/temporary/loop").symlink_to(home)
    (home / "checkouts/a/link").symlink_to(precious)
    (home / "checkouts/linked").symlink_to(precious)
    sweep(database, home, scratch_days=1, checkouts_days=1, checkouts_mb=0)
    assert (precious / "file").read_text() == "mine"
    assert not (home / "attempts/a/1/temporary").exists()


def test_a_worktree_goes_and_the_branch_with_its_commits_stays(
    database: Database, left, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"

    def git(*arguments: str, at: Path = repository) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *who, *arguments], cwd=at, check=True, capture_output=True, text=True)
        return done.stdout

    repository.mkdir()
    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "first")
    database.run_sync(
        projects.create,
        Project(
            id="code",
            name="Code",
            created_at=1.0,
            updated_at=1.0,
            repository=str(repository),
            checkout=CheckoutKind.WORKTREE,
        ),
    )
    home = left("a", 99, project="code")
    worktree = home / "worktrees" / "a"
    git("worktree", "add", "-q", "-b", "orchestrator/a", str(worktree))
    git("commit", "-q", "--allow-empty", "-m", "work of the agent", at=worktree)
    assert sweep(database, home, checkouts_days=14) == {"checkouts": 2}
    assert not worktree.exists()
    assert "work of the agent" in git("log", "--format=%s", "orchestrator/a")
    assert "worktrees/a" not in git("worktree", "list")


def test_a_task_that_is_tried_again_while_its_worktree_is_removed_gets_a_whole_one(
    database: Database, left, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    for arguments in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *arguments], cwd=repository, check=True, capture_output=True)
    code = Project(
        id="code",
        name="Code",
        created_at=1.0,
        updated_at=1.0,
        repository=str(repository),
        checkout=CheckoutKind.WORKTREE,
    )
    database.run_sync(projects.create, code)
    home = left("a", 99, project="code")
    checkouts = Checkouts(home)

    async def prepared() -> Path:
        task = await database.read(tasks.get, "a")
        async with checkouts.prepared(code, task) as place:
            return place

    async def scenario() -> Path:
        place = await prepared()
        handle = os.open(repository, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)  # another attempt makes its worktree just now
        directories = Directories(
            home=home, database=database, keep=replace(FOREVER, checkouts_days=1), clock=lambda tx: NOW
        )
        sweeping = asyncio.create_task(directories.sweep())
        async with asyncio.timeout(20):
            while place.exists():  # noqa: ASYNC110 - others tell nobody
                await asyncio.sleep(0)
        again = text("UPDATE tasks SET state = 'ASSIGNED', finished_at = NULL")
        await database.run(lambda tx: tx.execute(again) and None)
        preparing = asyncio.create_task(prepared())
        os.close(handle)
        await asyncio.gather(sweeping, preparing)
        return preparing.result()

    place = asyncio.run(scenario())
    assert place == home / "worktrees" / "a"
    subprocess.run(["git", "status"], cwd=place, check=True, capture_output=True)
    assert names(home / "removed") == []


def waits_for_a_lock() -> bool:
    """Whether anything in this process does, as the system tells it."""
    locks = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    return any("->" in line and str(os.getpid()) in line.split() for line in locks)


def test_an_attempt_waits_until_it_is_decided_what_is_left_of_its_task(tmp_path: Path) -> None:
    checkouts = Checkouts(tmp_path)
    acme = Project(id="acme", name="Acme", created_at=1.0, updated_at=1.0)
    task = Task(
        id="a",
        project_id="acme",
        title="T",
        prompt="",
        state=TaskState.ASSIGNED,
        priority=1,
        created_at=1.0,
        updated_at=1.0,
    )

    async def prepared() -> Path:
        async with checkouts.prepared(acme, task) as place:
            return place

    async def scenario() -> None:
        with checkouts.removing():
            preparing = asyncio.create_task(prepared())
            async with asyncio.timeout(20):
                while not waits_for_a_lock():  # noqa: ASYNC110 - others tell nobody
                    await asyncio.sleep(0)
            assert not (tmp_path / "checkouts").exists()
        assert (await preparing).is_dir()

    asyncio.run(scenario())


def test_what_a_killed_sweep_had_set_aside_goes_with_the_next(database: Database, left) -> None:
    home = left("a", None)
    (home / "removed" / "x" / "checkouts").mkdir(parents=True)
    assert sweep(database, home, checkouts_days=1) == {}
    assert names(home / "removed") == []
