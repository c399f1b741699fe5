"""Which containment holds is found out by trying, and the answer says why not a better one."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.harness.process import Containment, Isolation, Limits, isolation, probe, start


def tool(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def test_without_the_programs_the_supervisor_is_chosen_and_the_reason_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = probe()
    assert found.containment is Containment.SUPERVISOR
    assert found.prlimit is None
    assert all("util-linux" in reason for reason in found.why_not)


def test_a_refusal_of_the_kernel_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path, "setpriv", 'echo "unshare: unshare failed: Operation not permitted" >&2; exit 1')
    tool(tmp_path, "unshare", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = probe()
    assert found.containment is Containment.SUPERVISOR
    assert found.why_not[0] == "pid-namespace: unshare: unshare failed: Operation not permitted"


def test_a_wrapper_that_contains_nothing_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of that name that just runs its argument passes any test by exit code."""
    tool(tmp_path, "setpriv", "echo 4711")
    tool(tmp_path, "unshare", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = probe()
    assert found.containment is Containment.SUPERVISOR
    assert "process 1 expected" in found.why_not[0]


def test_a_wrapper_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "PROBE_SECONDS", 0.2)
    tool(tmp_path, "setpriv", "exec /bin/sleep 600")
    tool(tmp_path, "unshare", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    began = time.monotonic()
    assert probe().containment is Containment.SUPERVISOR
    assert time.monotonic() - began < 60


def test_a_containment_can_be_ruled_out() -> None:
    found = probe([Containment.SUPERVISOR])
    assert found.containment is Containment.SUPERVISOR
    assert all("not allowed by the settings" in reason for reason in found.why_not)


def test_the_best_that_works_is_taken_and_nothing_is_said_against_it(best: Isolation) -> None:
    order = list(Containment)
    assert len(best.why_not) == order.index(best.containment)


def test_core_dumps_are_off_whatever_else_is_limited(best: Isolation) -> None:
    command = best.command(["agent", "--x"], Limits(cpu_seconds=5))
    assert command[-2:] == ["agent", "--x"]
    assert "--core=0:0" in command
    assert "--cpu=5:5" in command


def test_an_agent_sees_only_its_own_processes(lab: Any, env: dict[str, str], tmp_path: Path) -> None:
    found = probe()
    if found.containment is Containment.SUPERVISOR:
        pytest.skip("; ".join(found.why_not))

    async def scene() -> list[str]:
        argv = ["sh", "-c", "ls -d /proc/[0-9]*"]
        async with start(argv, cwd=tmp_path, env=env, isolation=found) as child:
            return [item.text async for item in child.messages()]  # type: ignore[union-attr]

    seen = lab.go(scene())
    assert "/proc/1" in seen
    assert len(seen) <= 3


def test_the_wrapper_costs_little(lab: Any, env: dict[str, str], tmp_path: Path, best: Isolation) -> None:
    """The whole of it was seen to take 4 ms; the bound leaves room for a busy machine."""

    async def scene() -> float:
        times = []
        for _ in range(15):
            began = time.monotonic()
            async with start(["true"], cwd=tmp_path, env=env, isolation=best) as child:
                await child.wait()
            times.append(time.monotonic() - began)
        await asyncio.sleep(0)
        return sorted(times)[len(times) // 2]

    assert lab.go(scene()) < 0.1
