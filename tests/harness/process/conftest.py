"""Real children: the fake agent under each containment that works on this machine."""

import asyncio
import itertools
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from orchestrator.harness.process import (
    MARKER,
    Child,
    Containment,
    Isolation,
    build_environment,
    probe,
    start,
)

FAKE = Path(__file__).resolve().parents[2] / "fakes" / "agent.py"
BOUND = 30.0
T = TypeVar("T")
numbers = itertools.count()


def found(containment: Containment) -> Isolation:
    isolation = probe([containment])
    if isolation.containment is not containment:
        pytest.skip("; ".join(isolation.why_not))
    return isolation


@pytest.fixture(params=list(Containment), ids=str)
def isolation(request: pytest.FixtureRequest) -> Isolation:
    return found(request.param)


@pytest.fixture(scope="session")
def best() -> Isolation:
    return probe()


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fake agent with an interpreter that starts quickly."""
    path = tmp_path_factory.mktemp("bin") / "claude"
    _, _, rest = FAKE.read_text(encoding="utf-8").partition("\n")
    path.write_text(f"#!{sys.executable} -ISE\n{rest}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    attempt = f"test-{os.getpid()}-{next(numbers)}"
    return build_environment(attempt=attempt, home=str(tmp_path), tmp=str(tmp_path), parent=os.environ)


Starter = Callable[..., AbstractAsyncContextManager[Child]]


@pytest.fixture
def fake(agent: str, env: dict[str, str], tmp_path: Path) -> Starter:
    """Start the fake agent with a script."""

    def start_fake(
        script: str, isolation: Isolation, attempt: str | None = None, **more: Any
    ) -> AbstractAsyncContextManager[Child]:
        own = env if attempt is None else {**env, MARKER: attempt}
        argv = [agent, "-p", "--input-format=stream-json", f"--fake={script}"]
        return start(argv, cwd=tmp_path, env=own, isolation=isolation, **more)

    return start_fake


@pytest.fixture
def sleeper() -> Iterator[str]:
    """An argument for `sleep` that nobody else uses, so that it is found without any help of ours."""
    number = f"9{os.getpid()}{next(numbers)}.25"
    yield number
    for pid in Lab.pids_of(number):
        os.kill(pid, 9)


class Lab:
    """What the tests of this folder share."""

    @staticmethod
    def found(containment: Containment) -> Isolation:
        return found(containment)

    @staticmethod
    def pids_of(argument: str) -> list[int]:
        """The living processes that have exactly this argument."""
        pids = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if argument.encode() in words:
                pids.append(int(entry.name))
        return pids

    @staticmethod
    def go(work: Coroutine[Any, Any, T]) -> T:
        """Run to the end, within a bound."""

        async def bounded() -> T:
            async with asyncio.timeout(BOUND):
                return await work

        return asyncio.run(bounded())

    @staticmethod
    async def ask(child: Child, text: str = "hello") -> bool:
        message = {"type": "user", "message": {"role": "user", "content": text}}
        return await child.write(json.dumps(message).encode() + b"\n")

    @staticmethod
    async def heard(child: Child, kind: str) -> list[Any]:
        """What the child says up to and including the first message of this type."""
        items: list[Any] = []
        async for item in child.messages():
            items.append(item)
            if isinstance(item, dict) and item.get("type") == kind:
                break
        return items

    @staticmethod
    def until(holds: Callable[[], bool], seconds: float = BOUND) -> bool:
        """Whether it comes about in time: for what the kernel tells nobody about."""
        deadline = time.monotonic() + seconds
        while not (held := holds()) and time.monotonic() < deadline:
            time.sleep(0.005)
        return held


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab()
