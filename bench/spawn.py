"""From a committed task to the agent's first API request, against the same command line started by hand.

    python bench/spawn.py [--rounds 15]

Three ways in turn, so that the machine's moods hit all of them alike:

    worker    `orchestrator up` in a process of its own; from the return of the commit in ours
    by hand   the same executable, arguments, environment and files, by Popen, with the same message on stdin
    wrapped   by hand, inside the process wrapper that the worker puts around it

A rehearsal endpoint in this process takes the requests and notes when each has arrived.
"""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from machine import describe

from orchestrator import app, logs, rehearsal
from orchestrator.commands.projects import CreateProject, create_project
from orchestrator.commands.tasks import CreateTask, create_task
from orchestrator.domain import cascade
from orchestrator.domain.cascade import Resolution
from orchestrator.domain.context import TaskContext
from orchestrator.domain.task import Task, TaskState
from orchestrator.harness.claude import control
from orchestrator.harness.claude.argv import plan
from orchestrator.harness.claude.binary import Cli, CliFinder
from orchestrator.harness.claude.config import ClaudeAdapterConfig
from orchestrator.harness.claude.environment import claude_variables
from orchestrator.harness.claude.files import prepare, write_files
from orchestrator.harness.claude.places import Places
from orchestrator.harness.process import Isolation, Limits, build_environment, probe
from orchestrator.settings import Settings, load
from orchestrator.store import profiles, tasks
from orchestrator.store.database import Transaction
from orchestrator.store.outbox import Topic
from orchestrator.worker.prompt import task_context

BOUND = 60.0
PROFILE = "reviewer"
WAYS = ("worker", "by hand", "wrapped")


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """What to start by hand."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    line: bytes


async def measure(rounds: int) -> tuple[dict[str, list[float]], str]:
    """Milliseconds of each way, and the version of the command line."""
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    script = rehearsal.Script(default=rehearsal.Reply(text="Done."), name="spawn")
    isolation = probe()
    with tempfile.TemporaryDirectory() as root:
        async with rehearsal.serve(script) as server:
            settings = load(environment=_environment(Path(root), server.url)).settings
            async with app.opened(settings) as opened, _worker(settings, opened, server.url):
                task, _ = await _by_worker(opened, server, 0)  # warms the caches, and is not counted
                by_hand = ByHand(opened, task, server)
                ways: dict[str, Callable[[int], Awaitable[float]]] = {
                    "worker": lambda number: _seconds(_by_worker(opened, server, number)),
                    "by hand": lambda number: by_hand.start(f"bare-{number}", None),
                    "wrapped": lambda number: by_hand.start(f"wrapped-{number}", isolation),
                }
                for number in range(1, rounds + 1):
                    for turn in range(len(WAYS)):  # who comes first goes round too
                        way = WAYS[(turn + number) % len(WAYS)]
                        took[way].append(await ways[way](number) * 1000)
    return took, by_hand.cli.version


def _environment(home: Path, url: str) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "ORCHESTRATOR_HOME": str(home / "state"),
        "ORCHESTRATOR_CLAUDE__BASE_URL": url,
        "ORCHESTRATOR_CLAUDE__API_KEY": "bench",
    }


@asynccontextmanager
async def _worker(settings: Settings, opened: app.App, url: str) -> AsyncIterator[None]:
    """`orchestrator up` as its own process, ready to work."""
    log = settings.home / "bench.log"
    with log.open("w", encoding="utf-8") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from orchestrator.cli.main import main; main()",
            "up",
            "--no-screen",
            env=_environment(settings.home.parent, url),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    use = app.use(opened, clock=time.time, random=lambda: secrets.randbits(40))
    try:
        async with asyncio.timeout(BOUND):
            while "worker.started" not in log.read_text(encoding="utf-8"):
                if process.returncode is not None:
                    sys.exit(log.read_text(encoding="utf-8"))
                await asyncio.sleep(0.05)
        await create_project(use, CreateProject(id="bench", name="Bench"))
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def _by_worker(opened: app.App, server: rehearsal.Server, number: int) -> tuple[Task, float]:
    """The task, ended, and the seconds from its commit to the arrival of the request."""
    use = app.use(opened, clock=time.time, random=lambda: secrets.randbits(40))
    token = f"task-{number}-end"
    wanted = CreateTask(project_id="bench", title="Bench", prompt=f"Say done: {token}", profile_id=PROFILE)
    task_id = (await create_task(use, wanted)).created
    committed = time.time()
    request = await server.wait_for(lambda one: token in one.prompt, BOUND)
    async with asyncio.timeout(BOUND), opened.database.listener(Topic.EVENTS) as listener:
        while True:
            task = await opened.database.read(tasks.get, task_id)
            if task is not None and task.state is TaskState.COMPLETED:
                return task, request.at - committed
            await listener.wait(0.2)


async def _seconds(measured: Awaitable[tuple[Task, float]]) -> float:
    return (await measured)[1]


class ByHand:
    """Starts what the worker started, without the worker: its own plan for a task that it has run."""

    def __init__(self, opened: app.App, task: Task, server: rehearsal.Server) -> None:
        self.cli: Cli = CliFinder().find(search=os.environ.get("PATH"))
        self._task, self._server, self._secrets = task, server, opened.secrets
        self._config = opened.database.read_sync(lambda tx: _config_of(opened, tx, task))
        self._root = opened.settings.home.parent / "by-hand"
        self._environment = _environment(opened.settings.home.parent, server.url)

    async def start(self, name: str, isolation: Isolation | None) -> float:
        """Seconds from Popen to the arrival of the request; then the program is let end."""
        token = f"{name}-end"
        launch = self._launch(name, token)
        argv = isolation.command(launch.argv, Limits()) if isolation else list(launch.argv)
        started = time.time()
        with subprocess.Popen(
            argv,
            cwd=launch.cwd,
            env=dict(launch.env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            assert process.stdin
            process.stdin.write(launch.line)
            process.stdin.flush()
            try:
                request = await self._server.wait_for(lambda one: token in one.prompt, BOUND)
                process.stdin.close()
                await asyncio.to_thread(process.wait, BOUND)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return request.at - started

    def _launch(self, name: str, token: str) -> Launch:
        """What the worker starts for the task, planned by the same functions, with its files written."""
        config, context = self._config, self._context(name, token)
        prepare(context)
        planned = plan(config, context, self.cli.behaviour)
        write_files(planned.files)
        places = Places.of(context)
        env = build_environment(
            attempt=name,
            home=places.home,
            tmp=places.temporary,
            parent=self._environment,
            allow=config.pass_environment,
            extras=claude_variables(config, context),
        )
        message = control.user_message(context.prompt, self.cli.behaviour)
        return Launch(
            argv=[self.cli.path, *planned.arguments],
            env=env,
            cwd=context.checkout,
            line=json.dumps(message).encode() + b"\n",
        )

    def _context(self, name: str, token: str) -> TaskContext:
        checkout = self._root / name / "checkout"
        checkout.mkdir(parents=True)
        return task_context(
            replace(self._task, prompt=f"Say done: {token}"),
            self._config.effective,
            servers=(),
            checkout=str(checkout),
            attempt_directory=str(self._root / name),
            session_id=str(uuid.uuid4()),
            resume_transcript=None,
            earlier=(),
            secrets=self._secrets,
        )


def _config_of(opened: app.App, tx: Transaction, task: Task) -> ClaudeAdapterConfig:
    """What the worker launched the task with."""
    catalog = profiles.catalog_for(tx, task, defaults=opened.registry.defaults, ceiling=opened.ceiling)
    resolution = cascade.resolve(catalog)
    assert isinstance(resolution, Resolution)
    return opened.registry.config_for(resolution.effective)


def report(took: Mapping[str, Sequence[float]], version: str) -> None:
    rounds = len(took["worker"])
    print(describe())
    print(
        f"Claude Code {version}; {rounds} rounds in turn, after one task that does not count; milliseconds\n"
    )
    print(f"{'way':<12}{'median':>9}{'min':>9}{'max':>9}")
    for way in WAYS:
        times = took[way]
        print(f"{way:<12}{statistics.median(times):>9.1f}{min(times):>9.1f}{max(times):>9.1f}")
    worker, bare, wrapped = (statistics.median(took[way]) for way in WAYS)
    bar = max(0.05 * bare, 30.0)
    print(f"\nworker over by hand: {worker - bare:+.1f} ms, {worker / bare - 1:+.1%} (bar: {bar:.1f} ms)")
    print(f"of which the process wrapper: {wrapped - bare:+.1f} ms, {wrapped / bare - 1:+.1%}")
    pairs = statistics.median(
        mine - other for mine, other in zip(took["worker"], took["by hand"], strict=True)
    )
    print(f"median of the differences within a round: {pairs:+.1f} ms")
    print("met" if worker - bare <= bar else "MISSED")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    logs.configure(style="console", level="warning")
    arguments.add_argument("--rounds", type=int, default=15)
    report(*asyncio.run(measure(arguments.parse_args().rounds)))


if __name__ == "__main__":
    main()
