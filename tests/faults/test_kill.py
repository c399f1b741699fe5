"""kill -9 and SIGSTOP at any instant: nothing is lost, nothing is doubled, nothing is left running."""

import signal
import uuid
from collections import Counter

import psutil
import pytest

from faults.storm import Nursery, Storm
from orchestrator.domain.task import TaskState
from orchestrator.store import attempts
from orchestrator.store.database import open_database

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_after_kills_at_random_instants_every_task_has_ended_once_and_nothing_is_left(
    kind, request, tmp_path, fake_cli
) -> None:
    """`make faults` does the same a thousand times."""
    url = str(request.getfixturevalue("sqlite_url" if kind == "sqlite" else "postgres_url"))
    sign = f"98765.{int(uuid.uuid4().hex[:8], 16)}"
    script = f"child={sign};daemon={sign};lines=300;say=half;result=whole"
    with open_database(url) as database, Nursery(url, tmp_path / "home", fake_cli) as nursery:
        storm = Storm(
            database=database, nursery=nursery, seats=1 if kind == "sqlite" else 3, limit=4, script=script
        )
        found = storm.rage(10)
    assert found.faults == ()
    assert found.lost_attempts > 0, "no kill hit an attempt"
    assert not [process for process in psutil.process_iter() if sign in _command(process)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return [] if process.status() == psutil.STATUS_ZOMBIE else process.cmdline()
    except psutil.Error:
        return []


def test_a_worker_that_slept_beyond_its_lease_changes_nothing_when_it_wakes(site, tmp_path) -> None:
    go = tmp_path / "go"
    task_id = site.ask(1, f"touch={tmp_path / 'started'};wait_for={go};result=mine")
    times = {"lease_seconds": 3.0, "heartbeat_seconds": 0.5}
    sleeper = site.start(name="sleeper", **times)
    site.until((tmp_path / "started").exists)
    sleeper.send_signal(signal.SIGSTOP)
    site.start(name="other", **times)
    site.until(lambda: site.task(task_id).attempt == 2)
    site.until(lambda: site.task(task_id).state is TaskState.IN_PROGRESS)
    assert not [one for one in site.processes() if f"{task_id}/1" in one], "the first agent has ended"
    go.touch()
    site.until(lambda: site.task(task_id).state is TaskState.COMPLETED)
    before = site.task(task_id), site.kinds(task_id)
    sleeper.send_signal(signal.SIGCONT)
    sleeper.send_signal(signal.SIGTERM)
    assert sleeper.wait(60) == 0
    assert (site.task(task_id), site.kinds(task_id)) == before
    assert Counter(before[1])["task.completed"] == 1


def test_a_term_puts_off_what_runs_and_another_worker_goes_on(site, tmp_path) -> None:
    task_id = site.ask(1, f"touch={tmp_path / 'started'};wait_for={tmp_path / 'go'};result=done")
    first = site.start(drain_seconds=0.2)
    site.until((tmp_path / "started").exists)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 0
    assert (site.task(task_id).state, site.task(task_id).failures) == (TaskState.READY, 0)
    assert site.processes() == []
    (tmp_path / "go").touch()
    site.start()
    site.until(lambda: site.task(task_id).state is TaskState.COMPLETED)
    assert [one.outcome for one in site.database.read_sync(attempts.of_task, task_id)] == [
        "interrupted",
        "completed",
    ]
