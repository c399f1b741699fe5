"""The vault watched while people, editors and programs change it."""

import asyncio
import itertools
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from orchestrator.domain.errors import OrchestratorError
from orchestrator.store import profiles, servers
from orchestrator.store.database import Database, open_database
from orchestrator.store.outbox import Topic
from orchestrator.vault.files import VaultUnavailable
from orchestrator.vault.sync import VaultSync
from orchestrator.vault.watch import keep_in_step, matters, watch

BOUND = 30.0
NEVER = 3600.0
"""Seconds between scans where only the watch may have seen it."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "vault"
    write(root, "one", "first")
    return root


def write(root: Path, profile_id: str, text: str) -> Path:
    path = root / "agent-types" / profile_id / "profile.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"## Role\n{text}\n")
    return path


class Kept:
    """A vault kept in step, and what the database says of it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.unavailable = asyncio.Event()
        """Set when a look has found no vault."""

    async def says(self, profile_id: str, text: str | None) -> float:
        """Wait until the profile has this role, or is gone; how long it took."""
        began = time.monotonic()
        async with asyncio.timeout(BOUND), self.database.listener(Topic.EVENTS) as listener:
            while True:
                found = await self.database.read(profiles.get_profile, profile_id)
                role = None if found is None else found.system_prompt_suffix
                if (role is None) if text is None else (text in (role or "")):
                    return time.monotonic() - began
                await listener.wait(0.1)


@asynccontextmanager
async def kept(root: Path, url: str, *, scan_seconds: float = NEVER) -> AsyncIterator[Kept]:
    with open_database(url) as database:
        sync = VaultSync(root, database)
        here = Kept(database)

        async def look() -> None:
            try:
                await sync.run_once()
            except VaultUnavailable:
                here.unavailable.set()
                raise

        keeping = asyncio.create_task(keep_in_step(look, root, scan_seconds=scan_seconds))
        try:
            write(root, "probe", "the watch is on")
            await here.says("probe", "the watch is on")
            yield here
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def rename_over(path: Path, text: str) -> None:
    other = path.with_name(".profile.md.swp")
    other.write_text(text)
    other.replace(path)


def delete_and_create(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


@pytest.mark.parametrize("save", [in_place, rename_over, delete_and_create])
def test_an_edit_is_seen_however_the_editor_saves(
    root: Path, sqlite_url: str, save: Callable[[Path, str], None]
) -> None:
    async def edit() -> None:
        async with kept(root, sqlite_url) as here:
            for number in range(3):
                save(root / "agent-types/one/profile.md", f"## Role\nEdit {number}\n")
                await here.says("one", f"Edit {number}")

    asyncio.run(edit())


def test_new_directories_and_whole_projects_are_seen(root: Path, sqlite_url: str, tmp_path: Path) -> None:
    async def edit() -> None:
        async with kept(root, sqlite_url) as here:
            write(root, "two", "new")
            await here.says("two", "new")
            elsewhere = tmp_path / "made"
            (elsewhere / "mcp-servers").mkdir(parents=True)
            (elsewhere / "mcp-servers/lint.md").write_text("---\ncommand: lint\n---\n")
            (root / "projects").mkdir()
            elsewhere.rename(root / "projects" / "acme")
            async with asyncio.timeout(BOUND), here.database.listener(Topic.EVENTS) as listener:
                while await here.database.read(servers.get, "lint", project_id="acme") is None:
                    await listener.wait(0.1)
            shutil.rmtree(root / "agent-types/two")
            await here.says("two", None)

    asyncio.run(edit())


def test_a_storm_of_changes_elsewhere_does_not_put_an_edit_off(root: Path, sqlite_url: str) -> None:
    over = threading.Event()

    def storm() -> None:
        for number in itertools.count():
            if over.is_set():
                return
            path = root / "notes" / f"{number % 50}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(str(number))
            # Documents change as well, all the time: the looks themselves must not starve anybody.
            if number % 25 == 0:
                write(root, "busy", str(number))
            over.wait(0.002)

    async def edit() -> None:
        async with kept(root, sqlite_url) as here:
            storming = threading.Thread(target=storm)
            storming.start()
            try:
                for number in range(8):
                    write(root, "one", f"Edit {number}.")
                    await here.says("one", f"Edit {number}.")  # how soon is measured by bench/watch.py
            finally:
                over.set()
                storming.join()

    asyncio.run(edit())


def test_a_vault_that_is_deleted_and_made_again_is_watched_again(root: Path, sqlite_url: str) -> None:
    async def replace() -> None:
        async with kept(root, sqlite_url) as here:
            shutil.rmtree(root)
            async with asyncio.timeout(BOUND):
                await here.unavailable.wait()
            # The end of the old watch and the beginning of the new one show one edit each, not all of them.
            for number in range(6):
                write(root, "one", f"Edit {number}.")
                await here.says("one", f"Edit {number}.")

    with capture_logs():
        asyncio.run(replace())


def test_the_scan_finds_what_the_watch_does_not(root: Path, sqlite_url: str, monkeypatch) -> None:
    """As on a network file system, where the kernel has no news of what others write."""

    async def edit() -> None:
        async with kept(root, sqlite_url, scan_seconds=0.1) as here:
            write(root, "one", "scanned")
            await here.says("one", "scanned")

    async def deaf(*args: object, **options: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("orchestrator.vault.watch.watch", deaf)
    asyncio.run(edit())


def test_a_look_that_fails_is_logged_and_tried_again(root: Path) -> None:
    looks = 0
    twice = asyncio.Event()

    async def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise OrchestratorError("the database is away")
        twice.set()

    async def run() -> None:
        keeping = asyncio.create_task(keep_in_step(look, root, scan_seconds=0.05))
        async with asyncio.timeout(BOUND):
            await twice.wait()
        keeping.cancel()
        await asyncio.wait([keeping])

    with capture_logs() as lines:
        asyncio.run(run())
    assert [line["event"] for line in lines] == ["vault.sync_failed"]


LIMITED = """
import asyncio, sys
from pathlib import Path
from orchestrator.vault.watch import keep_in_step

async def main():
    looks = asyncio.Semaphore(0)
    async def look():
        looks.release()
    keeping = asyncio.create_task(keep_in_step(look, Path(sys.argv[1]), scan_seconds=0.1))
    for _ in range(4):
        await asyncio.wait_for(looks.acquire(), 10)
    keeping.cancel()
    await asyncio.wait([keeping])

asyncio.run(main())
"""


@pytest.mark.parametrize("limit", ["max_inotify_watches", "max_inotify_instances"])
def test_without_watches_left_the_scan_goes_on_and_it_is_said_once(root: Path, limit: str) -> None:
    """In a user namespace of its own, so that nobody else runs out of watches."""
    script = f'echo 0 > /proc/sys/user/{limit} && exec "$@"'
    wrapper = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
    if subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are not available")
    done = subprocess.run(
        [*wrapper, sys.executable, "-c", textwrap.dedent(LIMITED), str(root)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("vault.not_watched") == 1
    assert "max_user_watches" in done.stdout


def test_a_directory_that_may_not_be_read_does_not_end_the_watch(tmp_path: Path) -> None:
    """As an ordinary user; who is root is never locked out."""
    root = tmp_path / "vault"
    (root / "agent-types" / "locked").mkdir(parents=True)
    (root / "agent-types" / "locked").chmod(0o000)
    hinted = asyncio.Event()

    async def next_hint() -> None:
        async with asyncio.timeout(BOUND):
            await hinted.wait()
        hinted.clear()

    async def run() -> None:
        watching = asyncio.create_task(watch(root, hinted.set, retry_seconds=0.1))
        await next_hint()
        # The watch that was locked out and the one after it show one each, not all of them.
        for number in range(4):
            write(root, "one", f"Edit {number}.")
            await next_hint()
        assert not watching.done()
        watching.cancel()
        await asyncio.wait([watching])

    with capture_logs() as lines:
        asyncio.run(run())
    (root / "agent-types" / "locked").chmod(0o700)
    assert lines == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", True),
        ("agent-types", True),
        ("agent-types/a", True),
        ("agent-types/a/profile.md", True),
        ("agent-types/a/profile.md~", False),
        ("agent-types/a/notes/x.md", False),
        ("agent-types/project:p:a/anything", True),
        ("mcp-servers", True),
        ("mcp-servers/x.md", True),
        ("mcp-servers/.x.md.swp", False),
        ("mcp-servers/deep/x.md", False),
        ("projects", True),
        ("projects/p", True),
        ("projects/p/agent-types/a/profile.md", True),
        ("projects/p/mcp-servers/x.md", True),
        ("projects/p/notes/x.md", False),
        ("projects/p/repository/agent-types/a/profile.md", False),
        (".git/index", False),
        ("README.md", False),
    ],
)
def test_only_documents_and_what_leads_to_them_matter(path: str, expected: bool) -> None:
    assert matters(path) is expected
