"""What cannot be started is refused with the file's name and the way out."""

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import StartRefused
from orchestrator.harness.process import Isolation, Limits, start


@pytest.fixture
def refusal(lab: Any, env: dict[str, str], tmp_path: Path, best: Isolation) -> Any:
    def attempt(argv: list[str], **more: Any) -> str:
        async def scene() -> None:
            async with start(argv, **{"cwd": tmp_path, "env": env, "isolation": best, **more}):
                pytest.fail("it started")

        with pytest.raises(StartRefused) as caught:
            lab.go(scene())
        return str(caught.value)

    return attempt


def made(path: Path, text: str, mode: int = 0o755) -> str:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return str(path)


def test_a_missing_program_is_named(refusal: Any, tmp_path: Path) -> None:
    message = refusal([str(tmp_path / "claude")])
    assert str(tmp_path / "claude") in message
    assert "not found" in message
    message = refusal(["claude-that-is-nowhere"])
    assert "on PATH" in message
    assert "give its whole path" in message


def test_a_program_that_is_not_executable_is_named(refusal: Any, tmp_path: Path) -> None:
    path = made(tmp_path / "claude", "#!/bin/sh\n", 0o644)
    assert "chmod +x" in refusal([path])
    assert str(tmp_path) in refusal([str(tmp_path)])


def test_a_file_that_is_no_program_is_not_run_by_a_shell(refusal: Any, tmp_path: Path) -> None:
    path = made(tmp_path / "claude", "touch ran\n")
    assert "neither a program nor a script" in refusal([path])
    assert not (tmp_path / "ran").exists()


def test_a_missing_interpreter_is_named(refusal: Any, tmp_path: Path) -> None:
    assert "/opt/none/node" in refusal([made(tmp_path / "claude", "#!/opt/none/node --x\n")])


def test_a_missing_working_directory_is_named(refusal: Any, tmp_path: Path) -> None:
    message = refusal(["true"], cwd=tmp_path / "gone")
    assert str(tmp_path / "gone") in message
    assert "create it" in message


def test_a_long_argument_is_refused_with_its_length(
    refusal: Any, tmp_path: Path, env: dict[str, str]
) -> None:
    message = refusal(["true", "x" * 200_000])
    assert "200000 bytes" in message
    assert "put long texts into files" in message
    assert "bytes" in refusal(["true"], env={**env, "BIG": "y" * 200_000})


def test_a_zero_byte_is_refused(refusal: Any) -> None:
    assert "null byte" in refusal(["true", "a\0b"])


def test_limits_without_the_program_that_sets_them_are_refused(refusal: Any, best: Isolation) -> None:
    bare = Isolation(containment=best.containment, wrapper=best.wrapper, prlimit=None)
    assert "util-linux" in refusal(["true"], isolation=bare, limits=Limits(open_files=10))


def test_limits_hold_and_core_dumps_are_off(
    lab: Any, env: dict[str, str], tmp_path: Path, isolation: Isolation
) -> None:
    async def scene() -> list[str]:
        limits = Limits(open_files=77, file_size=1 << 20)
        argv = ["sh", "-c", "ulimit -n; ulimit -c; ulimit -f"]
        async with start(argv, cwd=tmp_path, env=env, isolation=isolation, limits=limits) as child:
            return [item.text async for item in child.messages()]  # type: ignore[union-attr]

    assert lab.go(scene()) == ["77", "0", "2048"]


def test_the_program_gains_no_privileges(
    lab: Any, env: dict[str, str], tmp_path: Path, isolation: Isolation
) -> None:
    async def scene() -> list[str]:
        argv = ["grep", "NoNewPrivs", "/proc/self/status"]
        async with start(argv, cwd=tmp_path, env=env, isolation=isolation) as child:
            return [item.text async for item in child.messages()]  # type: ignore[union-attr]

    assert lab.go(scene()) == ["NoNewPrivs:\t1"]


def test_a_thread_may_not_start_agents(env: dict[str, str], tmp_path: Path, best: Isolation) -> None:
    caught: list[str] = []

    def run() -> None:
        async def scene() -> None:
            async with start(["true"], cwd=tmp_path, env=env, isolation=best):
                pass

        try:
            asyncio.run(scene())
        except RuntimeError as error:
            caught.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    assert "main thread" in caught[0]


def test_starting_leaves_no_descriptors_open(
    lab: Any, env: dict[str, str], tmp_path: Path, isolation: Isolation
) -> None:
    async def scene() -> tuple[int, int]:
        counts = []
        for _ in range(4):
            async with start(["true"], cwd=tmp_path, env=env, isolation=isolation) as child:
                await child.wait()
            counts.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208
        return counts[0], counts[-1]

    first, last = lab.go(scene())
    assert last <= first
