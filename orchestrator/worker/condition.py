"""Asking a schedule's condition: a program that says by its exit code whether to run."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from orchestrator.domain.project import Project
from orchestrator.install.program import Finished, passed_on, run
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


async def ask(check: Check, project: Project | None, *, home: Path, parent: Mapping[str, str]) -> Verdict:
    """Run it in the project's repository, where there is one on this host, and else in `home`. It gets no
    secret of ours: the ordinary names of the environment, and which occurrence it is asked about. Exit code
    0 means run; everything else, a program that is missing or takes too long included, means skip.
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
    done = await run(schedule.condition, env=env, cwd=directory, seconds=schedule.condition_seconds)
    return Verdict(run=done.ok, message="" if done.ok else _why(done))


def _directory(project: Project | None, home: Path) -> Path:
    if project is not None and project.repository is not None and Path(project.repository).is_dir():
        return Path(project.repository)
    return home


def _why(done: Finished) -> str:
    if done.failure is not None:
        return f"the condition said no: {done.failure}"
    said = f": {done.why}" if (done.out + done.err).strip() else ""
    return f"the condition ended with exit code {done.code}{said}"
