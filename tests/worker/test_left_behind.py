"""What a worker that is killed leaves on the disk of its host, and what the next one makes of it."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.worker.left_behind import LeftBehind

WORKER = Path(__file__).parents[1] / "faults" / "worker_process.py"
TOKEN = "token-of-a-killed-worker"


def with_token(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]


def test_the_secrets_of_an_attempt_whose_worker_was_killed_go_with_the_next_start(
    sqlite_lab, sqlite_url: str, tmp_path: Path
) -> None:
    """Killed when the agent has been started, and has not yet said what it has."""
    lab, seen = sqlite_lab, tmp_path / "seen"
    server = lab.vault / "mcp-servers" / "linter.md"
    server.parent.mkdir()
    server.write_text("---\ncommand: npx\nenv: {TOKEN: '${LINT_TOKEN}'}\n---\n")
    lab.write_profile("reviewer", allowed=["Read"], servers=["linter"])
    task_id = lab.ask(f"no_init;touch={seen};hang", profile_id="reviewer")
    given = {
        "url": sqlite_url,
        "home": str(lab.home),
        "cli": lab.registry.base.cli_path,
        "worker": {"name": "killed", "slots": 1},
        "secrets": {"LINT_TOKEN": TOKEN},
    }
    killed = subprocess.Popen([sys.executable, str(WORKER), json.dumps(given)], stdout=subprocess.PIPE)
    try:
        until = time.monotonic() + 30
        while not seen.exists():
            assert time.monotonic() < until
            time.sleep(0.02)
    finally:
        killed.kill()
        killed.communicate()
    assert [path.name for path in with_token(lab.home)] == ["mcp.json"]

    async def next_start() -> None:
        async with lab.working():
            await lab.until(lambda: bool(lab.events(task_id, "task.rescued")))

    asyncio.run(next_start())
    assert with_token(lab.home) == []


@pytest.mark.parametrize("at_work", [True, False])
def test_an_attempt_that_somebody_is_at_keeps_its_files(sqlite_lab, at_work: bool) -> None:
    """Also when its task was taken back long ago by another host, the one it ran on cleans up."""
    lab = sqlite_lab
    task_id = lab.ask("hang")
    cleaned: list[Path] = []
    left = LeftBehind(home=lab.home, database=lab.database, clean_up=cleaned.append)

    async def look() -> None:
        async with lab.working():
            await lab.until(lambda: bool(lab.events(task_id, "attempt.started")))
            if at_work:
                await left.of_all()

    asyncio.run(look())
    if not at_work:
        asyncio.run(left.of_all())
    assert cleaned == ([] if at_work else [lab.home / "attempts" / task_id / "1"])
