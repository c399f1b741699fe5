"""Asking a schedule's condition: a program that says by its exit code whether to run."""

import asyncio
import shutil
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from orchestrator.domain.errors import StartRefused
from orchestrator.domain.project import Project
from orchestrator.harness.process import Child, Exit, Isolation, NotJson, OutputLost, Truncated, kill, start
from orchestrator.install.program import Finished, passed_on
from orchestrator.store.firing import Check, Verdict

QUIET_GIT: Final = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "false",
    "GIT_CONFIG_KEY_1": "core.hooksPath",
    "GIT_CONFIG_VALUE_1": "/dev/null",
}
"""Agents write in repositories: what they name there as a monitor or a hook is not run by the git of a
condition."""


LINES: Final = 100
"""Of its output, from the end: the reason it gives is looked for there."""
READING_SECONDS: Final = 5.0
"""What it printed is there when it has ended; nobody waits longer for a pipe that something still holds."""


async def ask(
    check: Check, project: Project | None, *, home: Path, parent: Mapping[str, str], isolation: Isolation
) -> Verdict:
    """Run it in the project's repository, where there is one on this host, and else in `home`. It gets no
    secret of ours: the ordinary names of the environment, and which occurrence it is asked about. Exit code
    0 means run; everything else, a program that is missing or takes too long included, means skip. Nothing
    that it started outlives it.
    """
    schedule = check.schedule
    assert schedule.condition is not None
    directory = _directory(project, home)
    env = passed_on(parent) | {
        **QUIET_GIT,
        "ORCHESTRATOR_SCHEDULE": schedule.id,
        "ORCHESTRATOR_PROJECT": schedule.project_id,
        "ORCHESTRATOR_SCHEDULED_FOR": datetime.fromtimestamp(check.occurrence, UTC).isoformat(),
    }
    done = await _run(
        schedule.condition, env=env, cwd=directory, seconds=schedule.condition_seconds, isolation=isolation
    )
    return Verdict(run=done.ok, message="" if done.ok else _why(done))


async def _run(
    command: Sequence[str], *, env: Mapping[str, str], cwd: Path, seconds: float, isolation: Isolation
) -> Finished:
    if shutil.which(command[0], path=env.get("PATH")) is None:
        return Finished(code=None, failure=f"{command[0]} was not found")
    try:
        async with start(command, cwd=cwd, env=env, isolation=isolation) as child:
            child.close_stdin()
            lines: deque[str] = deque(maxlen=LINES)
            reading = asyncio.create_task(_read(child, lines))
            failure = None
            try:
                async with asyncio.timeout(seconds):
                    ended = await child.wait()
            except TimeoutError:
                failure = f"{command[0]} took longer than {seconds:g} seconds"
            finally:
                await kill(child)
                await asyncio.wait([reading], timeout=READING_SECONDS)
                reading.cancel()
            said = {"out": "\n".join(lines), "err": child.stderr}
            return Finished(code=None if failure else _code(ended), failure=failure, **said)
    except StartRefused as error:
        return Finished(code=None, failure=str(error))


def _code(ended: Exit) -> int:
    """As a shell's parent has it: what a signal ended has a negative one."""
    return ended.code if ended.code is not None else -(ended.signal or 0)


async def _read(child: Child, lines: deque[str]) -> None:
    try:
        async for item in child.messages():
            if isinstance(item, NotJson | Truncated):
                lines.append(item.text)
    except OutputLost as error:
        lines.append(str(error))


def _directory(project: Project | None, home: Path) -> Path:
    if project is not None and project.repository is not None and Path(project.repository).is_dir():
        return Path(project.repository)
    return home


def _why(done: Finished) -> str:
    if done.failure is not None:
        return f"the condition said no: {done.failure}"
    said = f": {done.why}" if (done.out + done.err).strip() else ""
    return f"the condition ended with exit code {done.code}{said}"
