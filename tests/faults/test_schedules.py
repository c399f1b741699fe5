"""kill -9 of the daemons that make tasks by the clock: every occurrence makes one task, and none is lost."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.domain.project import Project
from orchestrator.domain.schedule import Missed, Schedule, ScheduleKind
from orchestrator.store import events, projects, schedules, tasks
from orchestrator.store.database import Database

pytestmark = pytest.mark.faults

SCHEDULES = 20
KILLS = 3
SCRIPT = Path(__file__).with_name("schedule_process.py")


def start(url: str, home: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, str(SCRIPT), url, str(home)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def made(database: Database) -> list[tuple[str | None, float | None]]:
    found = database.read_sync(tasks.list_tasks, limit=10_000)
    return [(task.schedule_id, task.scheduled_for) for task in found]


def until_more(database: Database, than: int) -> None:
    deadline = time.monotonic() + 30
    while len(made(database)) <= than:
        assert time.monotonic() < deadline, "nothing was made in time"
        time.sleep(0.02)


def test_daemons_that_are_killed_lose_no_occurrence_and_double_none(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    begin = float(int(time.time()))
    database.run_sync(projects.create, Project(id="acme", name="Acme", created_at=begin, updated_at=begin))
    for number in range(SCHEDULES):
        each_second = Schedule(
            id=f"s{number}",
            project_id="acme",
            name="Each second",
            kind=ScheduleKind.INTERVAL,
            expression="1",
            start_at=begin,
            created_at=begin,
            updated_at=begin,
            missed=Missed.ALL,
            grace_seconds=0.5,
            # Some ask first: then the kill may hit between the question and the answer.
            condition=("true",) if number % 4 == 0 else None,
            condition_seconds=1.0,
            task={"prompt": "Do it."},
            next_for=begin + 1,
            next_at=begin + 1,
        )
        database.run_sync(schedules.create, each_second)
    daemons = [start(database_url, tmp_path), start(database_url, tmp_path)]
    try:
        for _ in range(KILLS):
            until_more(database, len(made(database)) + random.randrange(SCHEDULES))
            kill(daemons.pop(0))
            daemons.append(start(database_url, tmp_path))
        until_more(database, len(made(database)) + SCHEDULES)
    finally:
        for daemon in daemons:
            kill(daemon)
    found = made(database)
    assert len(found) == len(set(found))
    fired = database.read_sync(events.after, 0, kinds=["schedule.fired"], limit=10_000)
    assert {(event.event.subject, event.event.data["scheduled_for"]) for event in fired} == {
        (f"schedule/{schedule_id}", at) for schedule_id, at in found
    }
    assert len(fired) == len(found)
    # On a busy machine a question may take longer than it has; that is no occurrence left out.
    skipped = database.read_sync(events.after, 0, kinds=["schedule.skipped"], limit=10_000)
    for schedule_id in {one for one, _ in found}:
        asked = {
            event.event.data["scheduled_for"]
            for event in skipped
            if event.event.subject == f"schedule/{schedule_id}"
        }
        times = sorted(asked | {at for one, at in found if one == schedule_id and at is not None})
        assert times == [begin + 1 + n for n in range(len(times))], f"{schedule_id} left one out"
