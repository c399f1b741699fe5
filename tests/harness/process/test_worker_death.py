"""A worker that is killed takes its agents along, or leaves what the next one can recognise."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from orchestrator.harness.process import MARKER, Containment, ProcessIdentity, end_leftovers
from orchestrator.harness.process.leftovers import identify, look_up

ROOT = Path(__file__).resolve().parents[3]
MODULE = "orchestrator.harness.process"
WORKER = """
import asyncio, dataclasses, json, os, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
from orchestrator.harness.process import Containment, build_environment, probe, start

async def main(agent, script, containment, home):
    isolation = probe([Containment(containment)])
    if isolation.containment != containment:
        print(json.dumps({"missing": isolation.why_not}), flush=True)
        return
    env = build_environment(attempt=Path(home).name, home=home, tmp=home, parent=os.environ)
    argv = [agent, "--input-format=stream-json", "--fake=" + script]
    async with start(argv, cwd=Path(home), env=env, isolation=isolation) as child:
        await child.write(b'{"type":"user","message":{"role":"user","content":"go"}}\\n')
        async for item in child.messages():
            if item["type"] == "assistant":
                print(json.dumps(dataclasses.asdict(child.identity)), flush=True)

asyncio.run(main(*sys.argv[3:]))
"""
# Through a shell, since setpriv itself still may do what root may when it looks the program up.
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", 'exec "$@"', "sh"]
PATHS = [str(ROOT), str(Path(structlog.__file__).parents[1])]


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    prefix: list[str]
    python: str

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.prefix, *argv], capture_output=True, check=False, text=True, cwd="/")


@pytest.fixture(params=["this user", "uid 65534"])
def user(request: pytest.FixtureRequest) -> User:
    if request.param == "this user":
        return User(prefix=[], python=sys.executable)
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    reasons = []
    for python in (sys.executable, "/usr/bin/python3"):
        other = User(prefix=AS_NOBODY, python=python)
        tried = other.run(python, "-c", f"import sys; sys.path += {PATHS}; import {MODULE}")
        if tried.returncode == 0:
            return other
        reasons.append(tried.stderr.strip()[-200:])
    pytest.skip("uid 65534 has no interpreter that can run this: " + "; ".join(reasons))


@pytest.fixture
def place(user: User, agent: str) -> Iterator[tuple[Path, str]]:
    """A directory and an agent that the user can reach; pytest's own are closed to others."""
    home = Path(user.run("mktemp", "-d", "/tmp/process-test.XXXXXX").stdout.strip())
    program = home / "claude"
    _, _, rest = Path(agent).read_text(encoding="utf-8").partition("\n")
    program.write_text(f"#!{user.python} -ISE\n{rest}", encoding="utf-8")
    program.chmod(0o755)
    yield home, str(program)
    shutil.rmtree(home)


def started(user: User, place: tuple[Path, str], containment: Containment, script: str) -> Any:
    home, agent = place
    worker = subprocess.Popen(
        [*user.prefix, user.python, "-c", WORKER, *PATHS, agent, script, containment, str(home)],
        stdout=subprocess.PIPE,
        cwd="/",
        env={"PATH": os.environ["PATH"]},
    )
    assert worker.stdout is not None
    said = json.loads(worker.stdout.readline())
    if "missing" in said:
        worker.communicate(timeout=60)
        pytest.skip("; ".join(said["missing"]))
    return worker, ProcessIdentity(**said)


@pytest.mark.parametrize("containment", list(Containment))
def test_a_killed_worker_takes_everything_along(
    lab: Any, user: User, place: tuple[Path, str], sleeper: str, containment: Containment
) -> None:
    script = f"daemon={sleeper};child={sleeper};ignore_term;say=x;hang"
    worker, identity = started(user, place, containment, script)
    assert lab.until(lambda: len(lab.pids_of(sleeper)) == 2)
    worker.kill()
    worker.wait(60)
    worker.stdout.close()
    assert lab.until(lambda: not lab.pids_of(sleeper) and not lab.pids_of(place[1]))
    assert lab.until(lambda: (left := look_up(identity.pid)) is None or not left.alive), (
        "who held them ends last"
    )
    assert end_leftovers([identity]) == []


def test_what_a_killed_worker_and_a_killed_supervisor_left_is_ended_by_the_next_worker(
    lab: Any, user: User, place: tuple[Path, str]
) -> None:
    worker, identity = started(user, place, Containment.SUPERVISOR, "say=x;hang")
    worker.send_signal(signal.SIGSTOP)
    os.kill(identity.pid, signal.SIGKILL)
    worker.kill()
    worker.wait(60)
    worker.stdout.close()
    # The agent reads the end of its input and, hanging, does not care.
    assert lab.until(lambda: len(lab.pids_of(place[1])) == 1)
    assert len(end_leftovers([identity])) == 1
    assert lab.until(lambda: not lab.pids_of(place[1]))


def sleeping(sleeper: str, attempt: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sleep", sleeper], env={MARKER: attempt}, start_new_session=True)


def test_a_process_is_recognised_by_its_environment_and_by_nothing_less(lab: Any, sleeper: str) -> None:
    ours, other = sleeping(sleeper, f"mine-{sleeper}"), sleeping(sleeper, f"mine-{sleeper}-not")
    assert end_leftovers([], [f"mine-{sleeper}"]) == [ours.pid]
    assert ours.wait(60) == -signal.SIGKILL
    assert other.poll() is None
    other.kill()
    other.wait(60)


@pytest.mark.parametrize("wrong", ["started", "boot"])
def test_a_process_id_used_again_is_not_killed(lab: Any, sleeper: str, wrong: str) -> None:
    process = sleeping(sleeper, "of somebody else")
    known = identify(process.pid, attempt=f"mine-{sleeper}")
    changed = {"started": known.started - 1} if wrong == "started" else {"boot": "another"}
    fields = {"pid": known.pid, "started": known.started, "boot": known.boot, "attempt": known.attempt}
    assert end_leftovers([ProcessIdentity(**{**fields, **changed})]) == []
    assert process.poll() is None
    assert end_leftovers([known]) == [process.pid]
    process.wait(60)


def test_descendants_of_a_leftover_go_with_it_whatever_their_environment(lab: Any, sleeper: str) -> None:
    argv = ["/bin/sh", "-c", f"env -i setsid /bin/sleep {sleeper} & wait"]
    process = subprocess.Popen(argv, env={MARKER: f"mine-{sleeper}"}, start_new_session=True)
    assert lab.until(lambda: bool(lab.pids_of(sleeper)))
    assert process.pid in end_leftovers([], [f"mine-{sleeper}"])
    process.wait(60)
    assert lab.until(lambda: not lab.pids_of(sleeper))


def test_an_attempt_without_a_name_matches_nothing(lab: Any, sleeper: str) -> None:
    process = sleeping(sleeper, "")
    assert end_leftovers([], [""]) == []
    assert process.poll() is None
    process.kill()
    process.wait(60)
