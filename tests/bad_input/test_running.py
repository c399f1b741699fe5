"""What goes wrong while a worker is at work: its vault, its clock, a second worker on the same home."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.task import TaskState
from orchestrator.worker.config import WorkerConfig
from orchestrator.worker.loop import Worker

PROGRAM = str(Path(sys.executable).with_name("orchestrator"))
BOUND = 60


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0], ids=["a day back", "a day on"])
def test_a_clock_that_jumps_loses_no_task_and_ends_each_once(
    sqlite_lab: Any, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    mark = sqlite_lab.vault.parent / "mark"
    first = sqlite_lab.ask(f"wait_for={mark}")
    second = sqlite_lab.ask("say=later")

    async def work() -> None:
        real = time.time
        config = WorkerConfig(
            name="test", home=sqlite_lab.home, slots=1, lease_seconds=3, heartbeat_seconds=0.3
        )
        worker = Worker(
            config=config,
            database=sqlite_lab.database,
            registry=sqlite_lab.registry,
            clock=lambda: time.time(),  # noqa: PLW0108 - looked up anew each time, to be turned by the test
        )
        async with sqlite_lab.working(worker):
            await sqlite_lab.until(lambda: bool(sqlite_lab.messages(first)))
            monkeypatch.setattr(time, "time", lambda: real() + step)
            mark.touch()
            await sqlite_lab.until(lambda: sqlite_lab.recorded(first) and sqlite_lab.recorded(second))

    asyncio.run(work())
    for task_id in (first, second):
        assert sqlite_lab.task(task_id).state is TaskState.COMPLETED
        assert len(sqlite_lab.attempts(task_id)) == 1
        assert len(sqlite_lab.events(task_id, "attempt.ended")) == 1


def test_a_prompt_of_two_mebibytes_of_any_text_reaches_the_agent(sqlite_lab: Any, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    text = "zeile € \U0001f600 \x1b[31m\n" * (2 * 1024 * 1024 // 22)
    task_id = sqlite_lab.ask(prompt=f"FAKE[dump={dump}]\n{text}")
    [task] = sqlite_lab.settle(task_id)
    assert task.state is TaskState.COMPLETED
    sent = [one for one in json.loads(dump.read_text(encoding="utf-8"))["stdin"] if one["type"] == "user"]
    content = sent[0]["message"]["content"]
    assert text.strip("\n") in (content if isinstance(content, str) else content[0]["text"])


def test_two_programs_on_one_home_are_two_workers_and_a_lost_vault_stops_neither(
    program: Callable[..., Any], home: Path, fake_cli: str, tmp_path: Path
) -> None:
    environment = {
        "ORCHESTRATOR_API__PORT": "0",
        "ORCHESTRATOR_HOME": str(home),
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "ORCHESTRATOR_CLAUDE__CLI_PATH": fake_cli,
        "ORCHESTRATOR_VAULT__SCAN_SECONDS": "0.2",
        "ORCHESTRATOR_LOG__FORMAT": "json",
    }
    program("project", "add", "acme")
    logs = [tmp_path / "one.log", tmp_path / "two.log"]
    up = [
        subprocess.Popen([PROGRAM, "up", "--rehearse", "--no-screen"], env=environment, stderr=log.open("wb"))
        for log in logs
    ]
    try:
        asked = [json.loads(program("task", "add", f"t{n}", "--json").out)["created"] for n in range(4)]
        assert program("task", "watch", asked[0]).code == 0
        deadline = time.monotonic() + BOUND  # one that had not begun would refuse to, without a vault
        while not all('"worker.started"' in log.read_text() for log in logs):
            assert time.monotonic() < deadline
            assert program("worker", "list").code == 0
        shutil.rmtree(home / "vault")
        asked.append(json.loads(program("task", "add", "after", "--json").out)["created"])
        for task_id in asked[1:]:
            assert program("task", "watch", task_id).code == 0
        assert [one.poll() for one in up] == [None, None]
    finally:
        for one in up:
            one.send_signal(signal.SIGTERM)
        codes = [one.wait(BOUND) for one in up]
    assert codes == [0, 0]
    started = [line for log in logs for line in log.read_text().splitlines() if '"agent.started"' in line]
    assert len(started) == len(asked), "each task was started exactly once"
    assert not (home / "vault").exists()
    assert "Traceback" not in "".join(log.read_text() for log in logs)
