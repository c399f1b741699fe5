"""Attempts of the adapter: with the fake agent, and with the real command line against a rehearsal."""

import asyncio
import itertools
import stat
import sys
import sysconfig
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.attempt import AgentMessage
from orchestrator.domain.context import TaskContext
from orchestrator.domain.mcp import McpServer
from orchestrator.harness.claude.adapter import ClaudeAdapter
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS, ClaudeAdapterConfig, Timers
from orchestrator.harness.claude.report import Report
from orchestrator.harness.claude.run import Run
from orchestrator.harness.process import Grace, Isolation, probe

ROOT = Path(__file__).parents[3]
FAKES = ROOT / "tests" / "fakes"
BUNDLED = Path(sysconfig.get_path("purelib")) / "claude_agent_sdk" / "_bundled" / "claude"
OLDER = ROOT / ".tools/claude-2.1.197/node_modules/@anthropic-ai/claude-code-linux-x64/claude"
EXECUTABLES = {"2.1.329": BUNDLED, "2.1.197": OLDER}
BOUND = 40.0
numbers = itertools.count(1)


@dataclass(kw_only=True)
class Attempt:
    """Everything to start one attempt, and what came of it."""

    config: ClaudeAdapterConfig
    context: TaskContext
    adapter: ClaudeAdapter
    messages: list[AgentMessage] = field(default_factory=list)

    @property
    def checkout(self) -> Path:
        return Path(self.context.checkout)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [dict(message.body) for message in self.messages if message.kind == kind]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Run]:
        async with self.adapter.start(self.config, self.context) as run:
            yield run

    async def run(self, meanwhile: Callable[[Run, AgentMessage], Awaitable[None]] | None = None) -> Report:
        async with asyncio.timeout(BOUND), self.running() as run:
            async for message in run:
                self.messages.append(message)
                if meanwhile is not None:
                    await meanwhile(run, message)
        return run.report

    def report(self) -> Report:
        return asyncio.run(self.run())


@pytest.fixture(scope="session")
def isolation() -> Isolation:
    return probe()


@pytest.fixture(scope="session")
def fake_cli(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bin") / "claude"
    _, _, rest = (FAKES / "agent.py").read_text(encoding="utf-8").partition("\n")
    path.write_text(f"#!{sys.executable} -ISE\n{rest}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


Attempting = Callable[..., Attempt]


@pytest.fixture
def attempt(tmp_path: Path, isolation: Isolation, fake_cli: str) -> Attempting:
    """An attempt with the fake agent; `script` is what it does, the rest goes into profile, config or
    context."""

    def make(
        script: str = "",
        *,
        cli: str | None = None,
        config: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        timers: dict[str, float] | None = None,
        **profile: Any,
    ) -> Attempt:
        number = next(numbers)
        checkout = tmp_path / "checkout"
        checkout.mkdir(exist_ok=True)
        effective = replace(CLAUDE_DEFAULTS, **{"allowed_tools": ("Read", "Grep"), **profile})
        chosen = ClaudeAdapterConfig(
            effective=effective,
            cli_path=cli or fake_cli,
            timers=Timers(**{"start": 20, "stall": 20, "drain": 5, **(timers or {})}),
            environment={"FAKE_AGENT": script} if script else {},
            rehearsal=True,
        )
        told = TaskContext(
            task_id=f"t{number}",
            attempt=1,
            project_id="p",
            title="A task",
            prompt="Do it.",
            checkout=str(checkout),
            attempt_directory=str(tmp_path / f"attempt-{number}"),
            session_id=str(uuid.uuid4()),
        )
        return Attempt(
            config=replace(chosen, **(config or {})),
            context=replace(told, **(context or {})),
            adapter=ClaudeAdapter(isolation=isolation),
        )

    return make


@pytest.fixture(params=list(EXECUTABLES))
def real_cli(request: pytest.FixtureRequest) -> str:
    """Each real command line that is at hand."""
    path = EXECUTABLES[request.param]
    if not path.is_file():
        pytest.skip(f"Claude Code {request.param} is not there; with npm, `make second-cli` fetches it")
    return str(path)


@pytest.fixture
def stdio_server(tmp_path: Path) -> Callable[..., McpServer]:
    """A server of two tools, `ping` and `other`, which notes every call and what it sees of the
    environment."""

    def make(name: str = "linter", *words: str, **env: str) -> McpServer:
        return McpServer(
            name=name,
            transport="stdio",
            command=sys.executable,
            args=("-I", str(FAKES / "mcp_server.py"), str(tmp_path / f"{name}.log"), *words),
            env=env,
        )

    return make


@pytest.fixture
def grace() -> Grace:
    return Grace(asked=0.5, terminated=0.5)
