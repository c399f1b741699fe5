"""The duty of schedules: on time, woken by changes, one task for each occurrence whoever races or dies."""

import asyncio
import itertools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import text

from orchestrator.domain.project import CheckoutKind, Project
from orchestrator.domain.schedule import Missed, Overlap, Schedule, ScheduleKind
from orchestrator.store import events, projects, schedules, tasks
from orchestrator.store.database import Database
from orchestrator.store.outbox import Topic
from orchestrator.store.tables import queued_occurrences
from orchestrator.worker.schedules import Schedules

BOUND = 20.0
numbers = itertools.count(1)


@pytest.fixture
def keeper(tmp_path: Path) -> Callable[..., Schedules]:
    def make(database: Database, **more: Any) -> Schedules:
        given = {"holder": f"w{next(numbers)}", "look_seconds": 30.0, "environment": dict(os.environ)}
        return Schedules(
            database=database,
            home=tmp_path,
            new_id=lambda: f"t{next(numbers):015}",
            **(given | more),
        )

    return make


def add(database: Database, **fields: Any) -> Schedule:
    """A schedule of every second, due from now on."""
    now = float(int(time.time()))
    if database.read_sync(projects.get, "acme") is None:
        project = Project(id="acme", name="Acme", created_at=now, updated_at=now)
        database.run_sync(projects.create, project)
    given = {
        "id": f"s{next(numbers)}",
        "project_id": "acme",
        "name": "Each second",
        "kind": ScheduleKind.INTERVAL,
        "expression": "1",
        "created_at": now,
        "updated_at": now,
        "start_at": now,
        "task": {"prompt": "Do it."},
        "next_for": now + 1,
        "next_at": now + 1,
    }
    schedule = Schedule(**(given | fields))
    database.run_sync(schedules.create, schedule)
    return schedule


def occurred(database: Database) -> list[tuple[str | None, float | None]]:
    found = database.read_sync(tasks.list_tasks, limit=1000)
    return [(task.schedule_id, task.scheduled_for) for task in found]


async def until(database: Database, done: Callable[[], bool]) -> None:
    """Looks after every event that is recorded, for less time than a keeper sleeps when nobody wakes it."""
    async with asyncio.timeout(BOUND), database.listener(Topic.EVENTS) as listener:
        while not done():
            await listener.wait(0.5)


def told(database: Database, kind: str) -> list[Any]:
    found = database.read_sync(events.after, 0, kinds=[f"schedule.{kind}"], limit=1000)
    return [stored.event for stored in found]


def test_it_sleeps_until_a_schedule_is_added_and_wakes_when_it_is_due(database, open_again, keeper) -> None:
    other = open_again()

    async def scenario() -> None:
        work = asyncio.create_task(keeper(database).keep())
        await asyncio.sleep(0)
        added = await asyncio.to_thread(add, other)
        await until(other, lambda: len(occurred(other)) >= 2)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        fired = [event.data for event in told(other, "fired")]
        assert fired[0]["scheduled_for"] == added.next_for
        assert fired[1]["scheduled_for"] == fired[0]["scheduled_for"] + 1

    asyncio.run(scenario())


def test_without_schedules_nothing_of_apscheduler_is_loaded(tmp_path: Path) -> None:
    script = f"""
import asyncio, sys
from orchestrator.store.database import open_database
from orchestrator.worker.schedules import Schedules
async def main():
    with open_database("sqlite:///{tmp_path}/o.db") as database:
        keeper = Schedules(database=database, holder="w", home=None, new_id=str, look_seconds=7.0)
        assert await keeper.run_once() == ([], 7.0)
asyncio.run(main())
assert not [name for name in sys.modules if name.startswith("apscheduler")]
"""

    async def scenario() -> int:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
        return await process.wait()

    assert asyncio.run(scenario()) == 0


def test_daemons_that_race_and_restart_make_one_task_of_each_occurrence(database, open_again, keeper) -> None:
    databases = [database, open_again(), open_again()]

    async def scenario() -> None:
        for _ in range(3):
            add(database)
        work = [asyncio.create_task(keeper(one).keep()) for one in databases]
        for place in (0, 1, 2, 0):
            seen = len(occurred(database))
            await until(database, lambda seen=seen: len(occurred(database)) > seen)
            work[place].cancel()
            await asyncio.gather(work[place], return_exceptions=True)
            work[place] = asyncio.create_task(keeper(databases[place]).keep())
        for one in work:
            one.cancel()
        await asyncio.gather(*work, return_exceptions=True)

    asyncio.run(scenario())
    found = occurred(database)
    assert len(found) == len(set(found)) == len(told(database, "fired"))
    for schedule_id in {one for one, _ in found}:
        times = sorted(at for one, at in found if one == schedule_id and at is not None)
        assert times == [times[0] + n for n in range(len(times))], "no occurrence was left out"


def test_a_clock_that_jumps_ahead_leaves_it_to_the_policy(database, keeper) -> None:
    schedule = add(database, missed=Missed.ONCE)
    jump = [0.0]

    async def scenario() -> None:
        turn = keeper(database, clock=lambda tx: (schedule.next_for or 0) - 0.5 + jump[0])
        assert await turn.run_once() == ([], 0.5)
        jump[0] = 3600.0
        await turn.run_once()
        assert len(told(database, "missed")) == 1
        jump[0] = 0.0  # and back: what was made is not made again
        checks, seconds = await turn.run_once()
        assert (checks, seconds) == ([], 30.0)

    asyncio.run(scenario())
    assert len(occurred(database)) == len(set(occurred(database)))


def test_a_condition_decides_and_sees_what_it_is_asked_about(database, keeper, tmp_path, monkeypatch) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    script = repository / "ask.sh"
    script.write_text('#!/bin/sh\npwd; env > seen; echo "error: not today" >&2; exit $1\n')
    script.chmod(0o755)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a secret")
    now = time.time()
    project = Project(
        id="acme",
        name="A",
        created_at=now,
        updated_at=now,
        repository=str(repository),
        checkout=CheckoutKind.DIRECTORY,
    )
    database.run_sync(projects.create, project)
    yes = add(database, expression="1000", condition=(str(script), "0"), id="yes")
    add(database, expression="1000", condition=(str(script), "3"), id="no")
    add(database, expression="1000", condition=("no-such-program",), id="missing")
    add(database, expression="1000", condition=("sleep", "60"), condition_seconds=1.0, id="slow")

    async def scenario() -> None:
        work = asyncio.create_task(keeper(database).keep())
        await until(database, lambda: len(told(database, "fired") + told(database, "skipped")) == 4)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asyncio.run(scenario())
    assert occurred(database) == [("yes", yes.next_for)]
    said = {event.subject: event.data["message"] for event in told(database, "skipped")}
    assert said == {
        "schedule/no": "the condition ended with exit code 3: error: not today",
        "schedule/missing": "the condition said no: no-such-program was not found",
        "schedule/slow": "the condition said no: sleep took longer than 1 seconds",
    }
    seen = (repository / "seen").read_text()
    assert "ORCHESTRATOR_PROJECT=acme" in seen
    assert "ORCHESTRATOR_SCHEDULED_FOR=20" in seen
    assert f"PWD={repository}" in seen
    assert "secret" not in seen


def test_a_schedule_that_cannot_be_carried_out_does_not_stop_the_others(database, keeper) -> None:
    broken = add(database, timezone="Mars/Olympus", kind=ScheduleKind.CRON, expression="* * * * *")
    sound = add(database)

    async def scenario() -> None:
        work = asyncio.create_task(keeper(database).keep())
        await until(database, lambda: len(occurred(database)) >= 2)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asyncio.run(scenario())
    assert {one for one, _ in occurred(database)} == {sound.id}
    paused = database.read_sync(schedules.get, broken.id)
    assert not paused.enabled
    assert "Mars/Olympus" in paused.paused_reason


def test_a_queued_occurrence_starts_as_soon_as_the_task_before_has_ended(database, keeper) -> None:
    add(database, overlap=Overlap.QUEUE)

    async def scenario() -> None:
        work = asyncio.create_task(keeper(database).keep())
        await until(database, lambda: len(told(database, "queued")) >= 1)
        (first,) = await database.read(tasks.list_tasks)
        await database.run(tasks.cancel, first.id, now=time.time())
        await until(database, lambda: len(occurred(database)) >= 2)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asyncio.run(scenario())
    found = sorted(at for _, at in occurred(database) if at is not None)
    assert found[1] == found[0] + 1


def test_while_a_condition_is_asked_a_queued_occurrence_waits_without_haste(database, keeper) -> None:
    schedule = add(database, overlap=Overlap.QUEUE, condition=("true",), condition_seconds=60.0)
    at = schedule.next_for or 0.0
    waiting = {"schedule_id": schedule.id, "scheduled_for": at, "queued_at": at}
    database.run_sync(lambda tx: tx.execute(queued_occurrences.insert().values(waiting)) and None)

    async def scenario() -> None:
        turn = keeper(database, clock=lambda tx: at + 0.25)
        await turn.run_once()  # the one that waits makes its task, and the due one is asked about
        ended = "UPDATE tasks SET state = 'COMPLETED', finished_at = 1.0"
        await database.run(lambda tx: tx.execute(text(ended)) and None)
        await database.run(
            lambda tx: (
                tx.execute(queued_occurrences.insert().values(waiting | {"scheduled_for": at - 1})) and None
            )
        )
        assert (await turn.run_once())[1] > 1.0

    asyncio.run(scenario())


def test_a_queued_occurrence_that_cannot_start_does_not_stop_the_others(database, keeper) -> None:
    at = float(int(time.time()) + 1)  # of both: between two calls a second may begin
    broken = add(database, overlap=Overlap.QUEUE, next_for=at, next_at=at)
    sound = add(database, next_for=at, next_at=at)
    waiting = {"schedule_id": broken.id, "scheduled_for": at - 1, "queued_at": at}
    database.run_sync(lambda tx: tx.execute(queued_occurrences.insert().values(waiting)) and None)
    spoil = text("UPDATE schedules SET task = :task WHERE id = :id")
    database.run_sync(lambda tx: tx.execute(spoil, {"task": '{"no": "such"}', "id": broken.id}) and None)

    async def scenario() -> None:
        await keeper(database, clock=lambda tx: at + 0.25).run_once()

    asyncio.run(scenario())
    assert {one for one, _ in occurred(database)} == {sound.id}
    assert not database.read_sync(schedules.get, broken.id).enabled


def test_nothing_that_a_condition_started_outlives_it(database, keeper, tmp_path) -> None:
    escape = (
        "import os, sys, signal\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    open('there', 'w').close()\n"
        "    signal.pause()\n"
        "while not os.path.exists('there'): pass\n"
        "if sys.argv[1] == 'stays': signal.pause()\n"
    )
    for how, seconds in (("goes", 60.0), ("stays", 3.0)):
        command = (sys.executable, "-c", escape, how, f"mark-{tmp_path.name}")
        add(database, expression="1000", condition=command, condition_seconds=seconds, id=how)

    async def scenario() -> None:
        work = asyncio.create_task(keeper(database).keep())
        await until(database, lambda: len(told(database, "fired") + told(database, "skipped")) == 2)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asyncio.run(scenario())
    assert [one for one, _ in occurred(database)] == ["goes"]
    left = [one.pid for one in psutil.process_iter(["cmdline"]) if command[-1] in (one.info["cmdline"] or [])]
    assert left == []
