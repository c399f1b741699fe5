"""Where agents work, when it is missing, full, not writable or not what it should be."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.project import CheckoutKind
from orchestrator.domain.task import TaskState
from orchestrator.store import workers

GIT = ("git", "-c", "user.name=n", "-c", "user.email=n@example.invalid")


def made(kind: str, place: Path) -> Path:
    """A repository of that kind."""
    if kind == "missing":
        return place / "missing"
    where = place / {"spaces and ünïcode €": "sp äc€ 'x'", "link": "aside"}.get(kind, kind)
    where.mkdir()
    if kind == "plain":
        return where
    subprocess.run([*GIT, "init", "-q", *(["--bare"] if kind == "bare" else []), str(where)], check=True)
    if kind not in ("no commits", "bare"):
        (where / "kept").write_text("1", encoding="utf-8")
        subprocess.run([*GIT, "-C", str(where), "add", "."], check=True)
        subprocess.run([*GIT, "-C", str(where), "commit", "-qm", "x"], check=True)
    if kind == "dirty":
        (where / "kept").write_text("2", encoding="utf-8")
    if kind == "link":
        (place / "link").symlink_to(where)
        return place / "link"
    return where


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", f"is not a directory on {socket.gethostname()}. Have it here"),
        ("plain", "not a git repository"),
        ("no commits", "it has no commit yet"),
        ("bare", "it has no commit yet"),
        ("dirty", None),
        ("spaces and ünïcode €", None),
        ("link", None),
    ],
)
def test_a_repository_is_worked_in_or_the_task_held_with_the_reason(
    sqlite_lab: Any, tmp_path: Path, kind: str, said: str | None
) -> None:
    repository = made(kind, tmp_path)
    sqlite_lab.project(checkout=CheckoutKind.WORKTREE, repository=str(repository))
    task_id = sqlite_lab.ask("write=made:x")
    [task] = sqlite_lab.settle(task_id)
    if said is None:
        assert task.state is TaskState.COMPLETED, task
        assert (sqlite_lab.home / "worktrees" / task_id / "made").exists()
        assert not (repository / "made").exists()
        assert (repository / "kept").read_text(encoding="utf-8") == ("2" if kind == "dirty" else "1")
    else:
        assert (task.state, task.hold, task.failures) == (TaskState.READY, "checkout_unusable", 0)
        assert str(repository) in (task.hold_message or "")
        assert said in (task.hold_message or "")


def test_a_repository_that_is_missing_here_is_not_corrected_for_all_hosts(
    sqlite_lab: Any, tmp_path: Path
) -> None:
    now = time.time()
    other = workers.Worker(
        id="w-2", host="build7", pid=1, version="1", slots=1, started_at=now, seen_at=now, draining=False
    )
    sqlite_lab.database.run_sync(workers.register, other)
    sqlite_lab.project(checkout=CheckoutKind.WORKTREE, repository=str(tmp_path / "missing"))
    [task] = sqlite_lab.settle(sqlite_lab.ask("write=made:x"))
    [attempt] = sqlite_lab.attempts(task.id)
    assert (task.hold, attempt.outcome) == (None, "not_here")
    assert f"is not a directory on {socket.gethostname()}. Other hosts have workers" in attempt.message
    assert "(build7)" in attempt.message
    assert "--requires LABEL" in attempt.message


@pytest.mark.parametrize("kind", ["spaces and ünïcode €", "link"])
def test_a_directory_of_any_name_is_worked_in(sqlite_lab: Any, tmp_path: Path, kind: str) -> None:
    directory = made(kind, tmp_path)
    sqlite_lab.project(checkout=CheckoutKind.DIRECTORY, repository=str(directory))
    task_id = sqlite_lab.ask("write=made:x")
    [task] = sqlite_lab.settle(task_id)
    assert task.state is TaskState.COMPLETED, task
    assert (directory / "made").exists()


@contextlib.contextmanager
def tiny_disk(place: Path, size: str) -> Iterator[Path]:
    """A disk that is soon full, where this user may mount one."""
    place.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk needs the right to mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_uses_an_attempt_says_so_and_is_tried_again(sqlite_lab: Any) -> None:
    with tiny_disk(sqlite_lab.home, "64k") as disk:
        with contextlib.suppress(OSError):
            (disk / "filler").write_bytes(b"x" * (1 << 20))
        task_id = sqlite_lab.ask()
        [task] = sqlite_lab.settle(task_id)
        [attempt] = sqlite_lab.attempts(task_id)
    assert (attempt.outcome, task.state, task.failures) == ("worker_fault", TaskState.READY, 1)
    assert "No space left on device" in attempt.message
    assert "Make room, or correct the permissions." in attempt.message
    assert task.run_at is not None


def test_a_home_in_which_nothing_can_be_made_uses_an_attempt_and_says_where(sqlite_lab: Any) -> None:
    sqlite_lab.home.mkdir()
    (sqlite_lab.home / "attempts").write_text("in the way", encoding="utf-8")
    task_id = sqlite_lab.ask()
    [task] = sqlite_lab.settle(task_id)
    [attempt] = sqlite_lab.attempts(task_id)
    assert (attempt.outcome, task.state) == ("worker_fault", TaskState.READY)
    assert str(sqlite_lab.home / "attempts") in attempt.message
    assert "Make room, or correct the permissions." in attempt.message


def test_output_that_the_disk_cannot_hold_back_is_no_success(sqlite_lab: Any) -> None:
    """While the database is behind, output waits on the disk; when that is full, the attempt says so."""
    with tiny_disk(sqlite_lab.home, "2m"):
        task_id = sqlite_lab.ask("flood_stdout=30000000")
        [task] = sqlite_lab.settle(task_id)
        [attempt] = sqlite_lab.attempts(task_id)
    assert task.state in (TaskState.COMPLETED, TaskState.READY)
    if task.state is TaskState.READY:
        assert attempt.outcome == "worker_fault"
        assert "Make room" in attempt.message


@pytest.mark.parametrize("cli", ["missing", "not executable", "not claude", "a directory"])
def test_a_command_line_that_cannot_be_used_holds_the_task_and_uses_no_attempt(
    sqlite_lab: Any, tmp_path: Path, cli: str
) -> None:
    path = tmp_path / "cli"
    if cli == "a directory":
        path.mkdir()
    elif cli != "missing":
        path.write_text("#!/bin/sh\necho something else\n")
        path.chmod(0o644 if cli == "not executable" else 0o755)
    base = replace(sqlite_lab.registry.base, cli_path=str(path))
    sqlite_lab.registry = replace(sqlite_lab.registry, base=base)
    task_id = sqlite_lab.ask()
    [task] = sqlite_lab.settle(task_id)
    assert (task.state, task.hold, task.failures) == (TaskState.READY, "start_refused", 0)
    assert str(path) in (task.hold_message or "")
    assert task.hold_until is not None
