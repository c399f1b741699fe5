"""kill -9 and SIGSTOP at any instant: nothing is lost, nothing is doubled, nothing is left running."""

import signal
import time
from collections import Counter
from random import Random

import pytest

from orchestrator.domain.task import TaskState
from orchestrator.store import attempts
from orchestrator.store.database import Transaction

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

TASKS = 50
KILLS = 20


def open_attempts(tx: Transaction, task_ids: list[str]) -> list[str]:
    tried = [one for task_id in task_ids for one in attempts.of_task(tx, task_id)]
    return [f"{one.task_id}/{one.number}" for one in tried if one.ended_at is None]


# Killed at a random time after the start, or earlier when some more tasks have ended: a fast machine must not
# be done before the last kill.
def test_after_twenty_kills_every_task_has_ended_exactly_once_and_nothing_is_left(site) -> None:
    random = Random(20)
    sign = f"98765.{site.prefix.translate(str.maketrans('abcdef', '123456'))}"
    script = f"child={sign};daemon={sign};lines=300;say=half;lines=2000;result=whole"
    ids = [site.ask(number, script) for number in range(TASKS)]
    for _ in range(KILLS):
        victim = site.start(max_losses=1000)
        deadline, goal = time.monotonic() + random.uniform(0.0, 0.7), site.completed() + random.randint(0, 2)
        while time.monotonic() < deadline and site.completed() <= goal:
            time.sleep(0.002)
        victim.kill()
        victim.wait()
    assert any(site.task(one).state is not TaskState.COMPLETED for one in ids), "the kills came too late"
    last = site.start(slots=4, max_losses=1000)
    site.until(lambda: all(site.task(one).state is TaskState.COMPLETED for one in ids), seconds=90)
    last.send_signal(signal.SIGTERM)
    assert last.wait(20) == 0
    for task_id in ids:
        assert Counter(site.kinds(task_id))["task.completed"] == 1
        assert site.task(task_id).result == "whole"
    outcomes = Counter(
        one.outcome for task_id in ids for one in site.database.read_sync(attempts.of_task, task_id)
    )
    assert outcomes["completed"] == TASKS
    assert outcomes["lost"] > 0, "no kill hit an attempt"
    assert set(outcomes) == {"completed", "lost"}
    assert site.database.read_sync(open_attempts, ids) == []
    site.until(lambda: site.processes(sign) == [], seconds=5)


def test_a_worker_that_slept_beyond_its_lease_changes_nothing_when_it_wakes(site, tmp_path) -> None:
    go = tmp_path / "go"
    task_id = site.ask(1, f"touch={tmp_path / 'started'};wait_for={go};result=mine")
    times = {"lease_seconds": 1.0, "heartbeat_seconds": 0.3}
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
    assert sleeper.wait(20) == 0
    assert (site.task(task_id), site.kinds(task_id)) == before
    assert Counter(before[1])["task.completed"] == 1


def test_a_term_puts_off_what_runs_and_another_worker_goes_on(site, tmp_path) -> None:
    task_id = site.ask(1, f"touch={tmp_path / 'started'};wait_for={tmp_path / 'go'};result=done")
    first = site.start(drain_seconds=0.2)
    site.until((tmp_path / "started").exists)
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    assert (site.task(task_id).state, site.task(task_id).failures) == (TaskState.READY, 0)
    assert site.processes() == []
    (tmp_path / "go").touch()
    site.start()
    site.until(lambda: site.task(task_id).state is TaskState.COMPLETED)
    assert [one.outcome for one in site.database.read_sync(attempts.of_task, task_id)] == [
        "interrupted",
        "completed",
    ]
