"""Schedules on both databases: one task for each occurrence, whoever fires it and however often."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.domain.errors import AlreadyExists, NotFound
from orchestrator.domain.profile import AgentProfile
from orchestrator.domain.project import Project
from orchestrator.domain.schedule import Missed, Overlap, Schedule, ScheduleKind
from orchestrator.domain.task import Task
from orchestrator.occurrences import following
from orchestrator.store import archive, events, firing, profiles, schedules, tasks
from orchestrator.store.database import Database
from orchestrator.store.firing import Check, Verdict

NOW = 1_800_000_000.0
MINUTE = 60.0
numbers = itertools.count(1)


@pytest.fixture
def make(database: Database, acme: Project) -> Callable[..., Schedule]:
    """Keeps a schedule of every minute whose first occurrence is a minute from NOW."""

    def create(**fields: Any) -> Schedule:
        given = {
            "id": f"s{next(numbers)}",
            "project_id": acme.id,
            "name": "Minutely",
            "kind": ScheduleKind.INTERVAL,
            "expression": "60",
            "start_at": NOW,
            "created_at": NOW,
            "updated_at": NOW,
            "task": {"prompt": "Do it.", "labels": {"made": "by the clock"}},
            "next_for": NOW + MINUTE,
            "next_at": NOW + MINUTE,
        }
        schedule = Schedule(**(given | fields))
        database.run_sync(schedules.create, schedule)
        return schedule

    return create


def fire(database: Database, schedule: Schedule, now: float, holder: str = "w1") -> Check | None:
    return database.run_sync(
        firing.fire,
        schedule.id,
        now=now,
        occurrences=following,
        new_id=lambda: f"t{next(numbers):015}",
        holder=holder,
    )


def checked(database: Database, check: Check, *, run: bool, now: float) -> bool:
    return database.run_sync(
        firing.fire_checked,
        check,
        Verdict(run=run, message="it ended with exit code 1"),
        now=now,
        occurrences=following,
        new_id=lambda: f"t{next(numbers):015}",
    )


def release(database: Database, schedule: Schedule, now: float) -> Task | None:
    return database.run_sync(firing.release, schedule.id, now=now, new_id=lambda: f"t{next(numbers):015}")


def made(database: Database) -> list[Task]:
    return sorted(database.read_sync(tasks.list_tasks, limit=1000), key=lambda task: task.scheduled_for or 0)


def facts(database: Database, kind: str) -> list[dict[str, Any]]:
    found = database.read_sync(events.after, 0, kinds=[f"schedule.{kind}"])
    return [dict(stored.event.data) for stored in found]


def known(database: Database, schedule: Schedule) -> Schedule:
    found = database.read_sync(schedules.get, schedule.id)
    assert found is not None
    return found


def test_a_due_occurrence_makes_its_task_and_the_schedule_moves_on(database, make) -> None:
    schedule = make()
    fire(database, schedule, NOW + MINUTE + 2)
    (task,) = made(database)
    assert (task.schedule_id, task.scheduled_for) == (schedule.id, NOW + MINUTE)
    assert (task.title, task.prompt, task.labels) == ("Minutely", "Do it.", {"made": "by the clock"})
    after = known(database, schedule)
    assert (after.next_for, after.last_for, after.last_task_id) == (NOW + 2 * MINUTE, NOW + MINUTE, task.id)
    assert facts(database, "fired") == [{"scheduled_for": NOW + MINUTE, "task": task.id, "late_seconds": 2.0}]


def test_nothing_happens_before_its_time_or_twice(database, make) -> None:
    schedule = make()
    for now in (NOW, NOW + MINUTE - 0.01, NOW + MINUTE, NOW + MINUTE, NOW + MINUTE + 1):
        fire(database, schedule, now)
    assert len(made(database)) == 1


def test_many_daemons_at_once_make_one_task_of_each_occurrence(database, open_again, make) -> None:
    ids = [make().id for _ in range(4)]
    daemons = [database, open_again(), open_again()]

    def work(daemon: Database) -> None:
        for minute in range(1, 6):
            for schedule_id in ids:
                daemon.run_sync(
                    firing.fire,
                    schedule_id,
                    now=NOW + minute * MINUTE,
                    occurrences=following,
                    new_id=lambda: f"t{next(numbers):015}",
                    holder="w",
                )

    with ThreadPoolExecutor(len(daemons)) as pool:
        list(pool.map(work, daemons))
    occurred = [(task.schedule_id, task.scheduled_for) for task in made(database)]
    assert len(occurred) == len(set(occurred)) == len(facts(database, "fired")) == 4 * 5


@pytest.mark.parametrize(("missed", "expected"), [(Missed.SKIP, 0), (Missed.ONCE, 1), (Missed.ALL, 10)])
def test_what_nobody_was_there_for_goes_by_the_policy(database, make, missed, expected) -> None:
    schedule = make(missed=missed, grace_seconds=5.0)
    fire(database, schedule, NOW + 10.5 * MINUTE)
    assert len(made(database)) == expected
    assert known(database, schedule).next_for == NOW + 11 * MINUTE
    if missed is not Missed.ALL:
        (fact,) = facts(database, "missed")
        assert (fact["count"], fact["more"], fact["policy"]) == (10 - expected, False, missed.value)


def test_a_year_of_missed_minutes_is_dealt_with_at_once(database, make) -> None:
    schedule = make(missed=Missed.ALL, missed_limit=3)
    fire(database, schedule, NOW + 365 * 1440 * MINUTE + 1)
    assert len(made(database)) == 4  # three that were missed, one that is on time
    assert facts(database, "missed")[0]["more"]


def test_an_occurrence_is_skipped_while_an_earlier_task_has_not_ended(database, make) -> None:
    schedule = make(overlap=Overlap.SKIP)
    fire(database, schedule, NOW + MINUTE)
    fire(database, schedule, NOW + 2 * MINUTE)
    (first,) = made(database)
    (fact,) = facts(database, "skipped")
    assert (fact["scheduled_for"], fact["reason"]) == (NOW + 2 * MINUTE, "overlap")
    assert first.id in fact["message"]
    database.run_sync(tasks.cancel, first.id, now=NOW)
    fire(database, schedule, NOW + 3 * MINUTE)
    assert [task.scheduled_for for task in made(database)] == [NOW + MINUTE, NOW + 3 * MINUTE]


def test_queued_occurrences_make_their_tasks_one_after_the_other(database, make) -> None:
    schedule = make(overlap=Overlap.QUEUE)
    for minute in (1, 2, 3):
        fire(database, schedule, NOW + minute * MINUTE)
    assert len(made(database)) == 1
    assert database.read_sync(firing.look, now=NOW).free == ()
    assert release(database, schedule, NOW) is None
    for minute in (2, 3):
        database.run_sync(tasks.cancel, made(database)[-1].id, now=NOW)
        assert database.read_sync(firing.look, now=NOW).free == (schedule.id,)
        task = release(database, schedule, NOW + 10 * MINUTE)
        assert task is not None
        assert task.scheduled_for == NOW + minute * MINUTE
        assert release(database, schedule, NOW) is None
    assert database.read_sync(schedules.queued, schedule.id) == []


def test_a_queue_that_is_full_takes_no_more(database, make, monkeypatch) -> None:
    monkeypatch.setattr(firing, "QUEUED_AT_MOST", 2)
    schedule = make(overlap=Overlap.QUEUE)
    for minute in range(1, 6):
        fire(database, schedule, NOW + minute * MINUTE)
    assert database.read_sync(schedules.queued, schedule.id) == [NOW + 2 * MINUTE, NOW + 3 * MINUTE]
    assert [fact["reason"] for fact in facts(database, "skipped")] == ["queue_full"] * 2


def test_a_condition_is_asked_by_one_and_what_it_says_is_done(database, make) -> None:
    schedule = make(condition=("true",), condition_seconds=20.0)
    check = fire(database, schedule, NOW + MINUTE)
    assert check is not None
    assert fire(database, schedule, NOW + MINUTE, holder="w2") is None
    found = database.read_sync(firing.look, now=NOW + MINUTE)
    assert (found.due, found.next_at) == ((), check.until)
    assert checked(database, check, run=True, now=NOW + MINUTE + 19)
    assert not checked(database, check, run=True, now=NOW + MINUTE + 19)
    assert [task.scheduled_for for task in made(database)] == [NOW + MINUTE]

    check = fire(database, schedule, NOW + 2 * MINUTE)
    assert check is not None
    assert checked(database, check, run=False, now=NOW + 2 * MINUTE)
    assert len(made(database)) == 1
    assert facts(database, "skipped") == [
        {"scheduled_for": NOW + 2 * MINUTE, "reason": "condition", "message": "it ended with exit code 1"}
    ]


def test_a_slow_condition_does_not_make_what_was_on_time_late(database, make) -> None:
    schedule = make(condition=("true",), missed=Missed.SKIP, grace_seconds=1.0)
    check = fire(database, schedule, NOW + MINUTE)
    assert check is not None
    assert checked(database, check, run=True, now=NOW + MINUTE + 50)
    assert [task.scheduled_for for task in made(database)] == [NOW + MINUTE]


def test_another_asks_when_the_one_who_asked_died(database, make) -> None:
    schedule = make(condition=("true",), missed=Missed.ONCE)
    first = fire(database, schedule, NOW + MINUTE, holder="dead")
    assert first is not None
    second = fire(database, schedule, first.until, holder="w2")
    assert second is not None
    assert not checked(database, first, run=True, now=first.until)
    assert checked(database, second, run=True, now=first.until)
    assert len(made(database)) == 1


def test_an_edit_makes_a_condition_that_is_being_asked_count_no_more(database, make) -> None:
    schedule = make(condition=("true",))
    check = fire(database, schedule, NOW + MINUTE)
    assert check is not None
    database.run_sync(schedules.update, replace(schedule, condition=None), fields=[])
    assert not checked(database, check, run=True, now=NOW + MINUTE)
    fire(database, schedule, NOW + MINUTE)
    assert len(made(database)) == 1


def test_a_clock_that_went_back_makes_no_second_task(database, make) -> None:
    schedule = make()
    fire(database, schedule, NOW + MINUTE)
    database.run_sync(schedules.save, schedule)  # as it was before
    fire(database, schedule, NOW + MINUTE)
    assert len(made(database)) == 1
    assert known(database, schedule).next_for == NOW + 2 * MINUTE


def test_a_paused_schedule_does_nothing(database, make) -> None:
    schedule = make(enabled=False)
    fire(database, schedule, NOW + MINUTE)
    found = database.read_sync(firing.look, now=NOW + MINUTE)
    assert (found.due, found.next_at, made(database)) == ((), None, [])


def test_what_cannot_be_carried_out_is_paused_with_the_reason(database, make) -> None:
    schedule = make()
    database.run_sync(firing.fail, schedule.id, "no such time zone here", now=NOW)
    after = known(database, schedule)
    assert (after.enabled, after.paused_reason) == (False, "no such time zone here")
    assert after.next_at is None
    assert facts(database, "paused") == [{"reason": "no such time zone here"}]


def test_whoever_waits_is_told_when_to_look_again(database, make) -> None:
    assert database.read_sync(firing.look, now=NOW) == firing.Look(due=(), free=(), next_at=None)
    soon, late = make(), make(next_for=NOW + 300, next_at=NOW + 301.5)
    assert database.read_sync(firing.look, now=NOW).next_at == NOW + MINUTE
    found = database.read_sync(firing.look, now=NOW + MINUTE)
    assert (found.due, found.next_at) == ((soon.id,), NOW + 301.5)
    assert database.read_sync(firing.look, now=NOW + 400).due == (soon.id, late.id)


def test_made_by_hand_it_is_no_occurrence(database, make) -> None:
    schedule = make(overlap=Overlap.SKIP)
    for number in (1, 2):
        database.run_sync(
            firing.run_now, schedule, task_id=f"by-hand-{number}", by="operator", now=NOW + MINUTE
        )
    assert [task.scheduled_for for task in made(database)] == [None, None]
    assert known(database, schedule).next_for == NOW + MINUTE
    assert facts(database, "fired")[0] == {"scheduled_for": None, "task": "by-hand-1", "by": "operator"}


def test_a_task_keeps_its_schedule_in_the_archive_and_after_its_deletion(database, make) -> None:
    schedule = make()
    fire(database, schedule, NOW + MINUTE)
    (task,) = made(database)
    database.run_sync(tasks.cancel, task.id, now=NOW)
    database.run_sync(schedules.delete, schedule, now=NOW)
    assert database.read_sync(schedules.list_schedules) == []
    database.run_sync(archive.archive, archive.Chosen(ended_by=NOW + 100), now=NOW + 100)
    kept = database.read_sync(archive.get, task.id)
    assert kept is not None
    assert (kept.schedule_id, kept.scheduled_for) == (schedule.id, NOW + MINUTE)


def test_references_are_checked_and_a_deleted_profile_is_cleared(database, make) -> None:
    with pytest.raises(NotFound, match="profile ghost not found"):
        make(profile_id="ghost")
    with pytest.raises(NotFound, match="project ghost not found"):
        make(project_id="ghost")
    schedule = make()
    with pytest.raises(AlreadyExists):
        make(id=schedule.id)
    database.run_sync(profiles.create_profile, AgentProfile(id="reviewer", name="R"), now=NOW)
    database.run_sync(schedules.update, replace(schedule, profile_id="reviewer"), fields=[])
    database.run_sync(profiles.delete_profile, "reviewer")
    assert known(database, schedule).profile_id is None
