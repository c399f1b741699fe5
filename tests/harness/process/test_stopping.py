"""Every way out of the scope ends the whole tree, in bounded time, on the gentlest rung that works."""

import asyncio
import errno
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.harness.process import Child, Containment, Grace, Isolation, Rung, finish, kill, start, stop

SHORT = Grace(end_of_input=0.3, asked=0.3, terminated=0.3)
LONG = Grace(end_of_input=20, asked=20, terminated=20)


async def interrupt(child: Child) -> None:
    request = {"type": "control_request", "request_id": "r1", "request": {"subtype": "interrupt"}}
    await child.write(json.dumps(request).encode() + b"\n")
    async for item in child.messages():
        if isinstance(item, dict) and item.get("type") == "result":
            return


async def began(lab: Any, child: Child) -> None:
    await lab.ask(child)
    await lab.heard(child, "assistant")


@pytest.mark.parametrize(
    ("script", "rung"),
    [
        ("say=x;hang", Rung.ASKED),
        ("ignore_interrupt;say=x;hang", Rung.TERMINATED),
        ("ignore_term;ignore_interrupt;say=x;hang", Rung.KILLED),
    ],
)
def test_the_ladder_ends_on_the_first_rung_that_works(
    lab: Any, fake: Any, isolation: Isolation, sleeper: str, script: str, rung: Rung
) -> None:
    async def scene() -> None:
        async with fake(f"daemon={sleeper};child={sleeper};{script}", isolation) as child:
            await began(lab, child)
            assert lab.until(lambda: len(lab.pids_of(sleeper)) == 2)
            grace = LONG if rung is Rung.ASKED else SHORT
            stopped = await stop(child, interrupt=lambda: interrupt(child), grace=grace)
            assert stopped.rung is rung
            assert stopped.exit is not None
            assert lab.pids_of(sleeper) == []

    lab.go(scene())


def test_without_a_protocol_the_group_gets_sigint(lab: Any, fake: Any, isolation: Isolation) -> None:
    async def scene() -> None:
        async with fake("say=x;hang", isolation) as child:
            await began(lab, child)
            stopped = await stop(child, grace=LONG)
            assert (stopped.rung, stopped.exit.code) == (Rung.ASKED, 0)
            said = await lab.heard(child, "result")
            assert said[-1]["terminal_reason"] == "aborted_tools"

    lab.go(scene())


def test_an_interrupt_that_fails_does_not_stop_the_stopping(lab: Any, fake: Any, best: Isolation) -> None:
    async def broken() -> None:
        raise ConnectionError

    async def scene() -> None:
        async with fake("say=x;hang", best) as child:
            await began(lab, child)
            stopped = await stop(child, interrupt=broken, grace=SHORT)
            assert stopped.rung is Rung.TERMINATED

    lab.go(scene())


@pytest.mark.parametrize(
    ("script", "rung"),
    [
        ("daemon={};say=x", Rung.END_OF_INPUT),
        ("daemon={};say=x;hang_after_result", Rung.TERMINATED),
        ("daemon={};ignore_term;say=x;hang_after_result", Rung.KILLED),
        ("daemon={};say=x;close_stdout", Rung.TERMINATED),
    ],
)
def test_an_agent_that_has_answered_is_let_go_gently(
    lab: Any, fake: Any, isolation: Isolation, sleeper: str, script: str, rung: Rung
) -> None:
    async def scene() -> None:
        async with fake(script.format(sleeper), isolation) as child:
            await lab.ask(child)
            await lab.heard(child, "assistant" if "close" in script else "result")
            stopped = await finish(child, grace=SHORT if rung is not Rung.END_OF_INPUT else LONG)
            assert stopped.rung is rung
            assert lab.pids_of(sleeper) == []

    lab.go(scene())


def test_closing_stdout_ends_the_stream_and_not_the_agent(lab: Any, fake: Any) -> None:
    """Seen only below the supervisor: the wrapper of a namespace keeps stdout open."""
    supervised = lab.found(Containment.SUPERVISOR)

    async def scene() -> None:
        async with fake("say=x;close_stdout", supervised) as child:
            await lab.ask(child)
            items = [item async for item in child.messages()]
            assert items[-1]["type"] == "assistant"
            assert child.exit is None

    lab.go(scene())


def test_an_agent_that_ends_by_itself_leaves_nothing(
    lab: Any, fake: Any, isolation: Isolation, sleeper: str
) -> None:
    async def scene() -> None:
        async with fake(f"daemon={sleeper};child={sleeper};crash=7", isolation) as child:
            await lab.ask(child)
            assert (await child.wait()).code == 7
            assert lab.pids_of(sleeper) == []

    lab.go(scene())


def test_a_grandchild_that_forks_without_end_is_caught(
    lab: Any, env: dict[str, str], isolation: Isolation, tmp_path: Path, sleeper: str
) -> None:
    """Each generation starts the next one in a session of its own and ends: no process is there for long."""
    walker = tmp_path / "walker"
    walker.write_text('#!/bin/sh\nsetsid "$0" "$1" </dev/null >/dev/null 2>&1 &\n', encoding="utf-8")
    walker.chmod(0o755)

    async def scene() -> None:
        argv = ["sh", "-c", '"$0" "$1"; echo "{}"; exec sleep 60', str(walker), sleeper]
        async with start(argv, cwd=tmp_path, env=env, isolation=isolation) as child:
            await anext(aiter(child.messages()))
            assert (await kill(child)).rung is Rung.KILLED
        assert not any(lab.until(lambda: bool(lab.pids_of(sleeper)), 0.05) for _ in range(3))

    lab.go(scene())


def test_stopping_twice_and_at_once_is_the_same_as_once(lab: Any, fake: Any, isolation: Isolation) -> None:
    async def scene() -> None:
        async with fake("ignore_term;ignore_interrupt;say=x;hang", isolation) as child:
            await began(lab, child)
            endings = await asyncio.gather(stop(child, grace=SHORT), stop(child, grace=SHORT), kill(child))
            assert {ending.rung for ending in endings} <= {Rung.KILLED, Rung.ASKED}
            assert (await stop(child)).rung is Rung.NOTHING
            assert (await finish(child)).rung is Rung.NOTHING

    lab.go(scene())


def test_a_kill_at_any_instant_of_the_start_leaves_nothing(
    lab: Any, env: dict[str, str], isolation: Isolation, tmp_path: Path, sleeper: str
) -> None:
    async def scene() -> None:
        for step in range(30):
            argv = ["sh", "-c", 'setsid sleep "$0" & sleep "$0"', sleeper]
            async with start(argv, cwd=tmp_path, env=env, isolation=isolation) as child:
                await asyncio.wait([asyncio.ensure_future(child.wait())], timeout=step * 0.0015)
                began = time.monotonic()
            assert time.monotonic() - began < 30
            assert lab.pids_of(sleeper) == []

    lab.go(scene())


def test_cancelling_the_reader_ends_the_tree_first(
    lab: Any, fake: Any, isolation: Isolation, sleeper: str
) -> None:
    async def attempt(running: asyncio.Event) -> None:
        async with fake(f"daemon={sleeper};ignore_term;say=x;hang", isolation) as child:
            await lab.ask(child)
            async for item in child.messages():
                if item["type"] == "assistant":
                    running.set()

    async def scene() -> None:
        running = asyncio.Event()
        task = asyncio.ensure_future(attempt(running))
        await running.wait()
        assert lab.until(lambda: len(lab.pids_of(sleeper)) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert lab.pids_of(sleeper) == []

    lab.go(scene())


def test_a_cancellation_while_stopping_is_delivered_after_the_end(
    lab: Any, fake: Any, best: Isolation, sleeper: str
) -> None:
    async def scene() -> None:
        async with fake(f"daemon={sleeper};ignore_term;say=x;hang", best) as child:
            await began(lab, child)
            stopping = asyncio.ensure_future(stop(child, grace=SHORT))
            await asyncio.wait([stopping], timeout=0.1)
            stopping.cancel()
            await asyncio.wait([stopping], timeout=0.05)
            stopping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await stopping
            assert child.exit is not None
            assert lab.pids_of(sleeper) == []

    lab.go(scene())


def test_an_exception_in_the_scope_ends_the_tree(
    lab: Any, fake: Any, isolation: Isolation, sleeper: str
) -> None:
    async def scene() -> None:
        async with fake(f"daemon={sleeper};say=x;hang", isolation) as child:
            await began(lab, child)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lab.go(scene())
    assert lab.pids_of(sleeper) == []


def test_one_agent_is_stopped_and_its_neighbour_goes_on(
    lab: Any, fake: Any, isolation: Isolation, sleeper: str
) -> None:
    mine, theirs = sleeper, sleeper + "1"

    async def scene() -> None:
        async with (
            fake(f"daemon={theirs};say=x;hang", isolation, attempt="another") as neighbour,
            fake(f"daemon={mine};say=x;hang", isolation) as child,
        ):
            await began(lab, neighbour)
            await began(lab, child)
            assert lab.until(lambda: bool(lab.pids_of(mine) and lab.pids_of(theirs)))
            await kill(child)
            assert lab.pids_of(mine) == []
            assert len(lab.pids_of(theirs)) == 1
            assert neighbour.exit is None
        assert lab.pids_of(theirs) == []

    lab.go(scene())


def test_a_supervisor_killed_from_outside_still_leaves_nothing_that_can_be_recognised(
    lab: Any, env: dict[str, str], sleeper: str, tmp_path: Path
) -> None:
    supervised = lab.found(Containment.SUPERVISOR)

    async def scene() -> None:
        argv = ["sh", "-c", 'setsid sleep "$0" & echo "{}"; exec sleep "$0"', sleeper]
        async with start(argv, cwd=tmp_path, env=env, isolation=supervised) as child:
            await anext(aiter(child.messages()))
            assert lab.until(lambda: len(lab.pids_of(sleeper)) == 3)
            os.kill(child.pid, signal.SIGKILL)
            await child.wait()
            assert len(lab.pids_of(sleeper)) == 2
        assert lab.pids_of(sleeper) == []

    lab.go(scene())


def test_where_the_kernel_gives_no_process_descriptors_it_goes_on_without(
    lab: Any, fake: Any, isolation: Isolation, sleeper: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(pid: int, flags: int = 0) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refused)

    async def scene() -> None:
        async with fake(f"daemon={sleeper};say=x;hang", isolation) as child:
            await began(lab, child)
            assert (await kill(child)).rung is Rung.KILLED
            assert lab.pids_of(sleeper) == []

    lab.go(scene())


def test_many_agents_stopped_at_once_leave_nothing(
    lab: Any, fake: Any, isolation: Isolation, sleeper: str
) -> None:
    async def attempt(number: int) -> None:
        async with fake(
            f"daemon={sleeper};child={sleeper};say=x;hang", isolation, attempt=f"many-{number}"
        ) as child:
            await began(lab, child)

    async def scene() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(attempt(number))
        assert lab.pids_of(sleeper) == []

    lab.go(scene())
