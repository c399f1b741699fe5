"""What a child prints: all of it arrives, and it never waits for a reader."""

import asyncio
import os
import resource
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.harness.process import Isolation, NotJson, OutputLost, Truncated, finish, start
from orchestrator.harness.process.inbox import Inbox

MIB = 1 << 20


async def items_of(child: Any) -> list[Any]:
    return [item async for item in child.messages()]


def test_a_conversation_from_start_to_result(lab: Any, fake: Any, isolation: Isolation) -> None:
    async def scene() -> None:
        async with fake("say=hi;result=yes", isolation) as child:
            assert await lab.ask(child)
            kinds = [item["type"] for item in await lab.heard(child, "result")]
            assert kinds == ["system", "assistant", "result"]
            stopped = await finish(child)
            assert (stopped.rung, stopped.exit.code, stopped.exit.signal) == ("end-of-input", 0, None)
            assert stopped.exit.cpu_seconds > 0

    lab.go(scene())


def test_a_reader_that_stops_and_comes_back_misses_nothing(lab: Any, fake: Any, best: Isolation) -> None:
    async def scene() -> list[int]:
        numbers = []
        async with fake("no_init;lines=50", best) as child:
            await lab.ask(child)
            while len(numbers) < 50:
                async for item in child.messages():
                    numbers.append(item["n"])
                    break
        return numbers

    assert lab.go(scene()) == list(range(50))


def test_the_environment_is_exactly_the_one_given(
    lab: Any, fake: Any, isolation: Isolation, env: dict[str, str], tmp_path: Path
) -> None:
    env = {**env, "LANG": "C"}  # where a program may add to it, as Python does to its own

    async def scene() -> str:
        async with start(["cat", "/proc/self/environ"], cwd=tmp_path, env=env, isolation=isolation) as child:
            (item,) = await items_of(child)
            return item.text

    seen = dict(entry.split("=", 1) for entry in lab.go(scene()).strip("\0").split("\0"))
    assert seen == env


def test_a_line_of_20_mib_arrives(lab: Any, fake: Any, best: Isolation) -> None:
    async def scene() -> int:
        async with fake(f"big={20 * MIB}", best) as child:
            await lab.ask(child)
            items = await lab.heard(child, "result")
            return len(items[1]["message"]["content"][0]["text"])

    assert lab.go(scene()) == 20 * MIB


def test_invalid_utf_8_and_half_a_line_are_reported_and_nothing_breaks(
    lab: Any, fake: Any, best: Isolation
) -> None:
    async def scene() -> list[Any]:
        async with fake("bad_utf8;half_line", best) as child:
            await lab.ask(child)
            return await items_of(child)

    _, bad, stray, half = lab.go(scene())
    assert bad["text"] == "\ufffd\ufffd\ufffd("
    assert stray == NotJson(text="\ufffd\ufffd not json")
    assert half == Truncated(text='{"type":"assistant","message":{"con')


@pytest.mark.parametrize(
    ("script", "code"), [("silent", 0), ("no_init;no_result", 0), ("no_init;no_result;rc=3", 3)]
)
def test_an_agent_that_says_nothing_ends_the_stream(
    lab: Any, fake: Any, best: Isolation, script: str, code: int
) -> None:
    async def scene() -> tuple[list[Any], int]:
        async with fake(script.replace("no_result;rc=3", "rc=3;no_result"), best) as child:
            await lab.ask(child)
            items = await items_of(child)
            return items, (await child.wait()).code

    assert lab.go(scene()) == ([], code)


@pytest.mark.parametrize("number", [9, 11])
def test_an_agent_killed_by_a_signal_is_told_from_one_that_failed(
    lab: Any, env: dict[str, str], isolation: Isolation, tmp_path: Path, sleeper: str, number: int
) -> None:
    """From without, as the kernel does when memory runs out."""

    async def scene() -> tuple[int | None, int | None, str]:
        program = f"import ctypes; print('{{}}', flush=True); input() or ctypes.string_at(0) # {sleeper}"
        argv = [sys.executable, "-ISc", program, sleeper]
        async with start(argv, cwd=tmp_path, env=env, isolation=isolation) as child:
            assert await anext(aiter(child.messages())) == {}
            if number == 11:
                await child.write(b"\n")
            else:
                (inner,) = [pid for pid in lab.pids_of(sleeper) if pid != child.pid]
                os.kill(inner, number)
            ended = await child.wait()
            return ended.code, ended.signal, child.stderr

    code, signal, stderr = lab.go(scene())
    assert signal == number or code == 128 + number
    assert "unshare" not in stderr


def test_nothing_is_lost_when_nobody_reads(lab: Any, fake: Any, isolation: Isolation) -> None:
    """100 MiB, read only after the agent has gone; memory stays bounded meanwhile."""

    async def scene() -> tuple[int, str]:
        async with fake(f"no_init;flood_stdout={100 * MIB}", isolation) as child:
            await lab.ask(child)
            child.close_stdin()
            before = resident()
            await child.wait()
            grown, lines, last = resident() - before, 0, ""
            async for item in child.messages():
                lines += 1
                last = item["type"]
                grown = max(grown, resident() - before)
            assert grown < 40 * MIB
            return lines, last

    lines, last = lab.go(scene())
    assert lines > 100_000
    assert last == "result"


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def test_a_flood_on_stderr_is_counted_and_its_end_is_kept(lab: Any, fake: Any, best: Isolation) -> None:
    async def scene() -> tuple[int, str]:
        async with fake(f"flood_stderr={50 * MIB};stderr=last words", best) as child:
            await lab.ask(child)
            await lab.heard(child, "result")
            await finish(child)
            return child.stderr_bytes, child.stderr

    total, tail = lab.go(scene())
    assert total > 50 * MIB
    assert 63 << 10 < len(tail) <= 64 << 10
    assert tail.endswith("last words\n")


def test_writing_to_an_agent_that_has_gone_says_so(lab: Any, fake: Any, best: Isolation) -> None:
    async def scene() -> bool:
        async with fake("silent", best) as child:
            await child.wait()
            await items_of(child)
            for _ in range(100):
                if not await child.write(b"{}\n" * 100_000):
                    return True
            return False

    assert lab.go(scene())


def test_an_agent_that_does_not_read_makes_the_writer_wait_and_nothing_else(
    lab: Any, fake: Any, best: Isolation
) -> None:
    async def scene() -> None:
        async with fake("deaf", best) as child:
            writing = asyncio.ensure_future(child.write(b"x" * (8 * MIB)))
            done, _ = await asyncio.wait([writing], timeout=0.2)
            assert not done
        assert await writing is False

    lab.go(scene())


def test_output_that_cannot_be_kept_is_reported_after_what_could(
    lab: Any, fake: Any, best: Isolation
) -> None:
    async def scene() -> None:
        heard: list[Any] = []

        async def listen() -> None:
            async for item in child.messages():
                heard.append(item)

        async with fake(f"flood_stdout={30 * MIB}", best, spool=Path("/proc/nowhere")) as child:
            await lab.ask(child)
            child.close_stdin()
            await child.wait()
            with pytest.raises(OutputLost, match="make room"):
                await listen()
        assert len(heard) > 1000

    lab.go(scene())


def test_the_inbox_keeps_the_order_across_memory_and_file(lab: Any, tmp_path: Path) -> None:
    async def scene() -> list[bytes]:
        inbox = Inbox(tmp_path, memory=300, spool=10_000)
        got: list[bytes] = []
        for number in range(40):
            inbox.put(b"%03d." % number)
            if number % 7 == 0:
                got.append(await inbox.get() or b"")
        inbox.close()
        while (chunk := await inbox.get()) is not None:
            got.append(chunk)
        return got

    assert b"".join(lab.go(scene())) == b"".join(b"%03d." % number for number in range(40))


def test_the_inbox_leaves_no_file_and_has_a_last_limit(lab: Any, tmp_path: Path) -> None:
    async def scene() -> list[bytes]:
        inbox = Inbox(tmp_path, memory=0, spool=100)
        for _ in range(5):
            inbox.put(b"x" * 30)
        assert list(tmp_path.iterdir()) == []
        got = [await inbox.get()]
        with pytest.raises(OutputLost, match="more than"):
            await inbox.get()
        return got

    assert lab.go(scene()) == [b"x" * 90]
