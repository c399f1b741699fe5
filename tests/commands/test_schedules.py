"""Commands of schedules: what is refused and why, what a change does, and what is shown."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.commands import calls
from orchestrator.commands.explain import explain_task
from orchestrator.commands.profile_write import DeleteProfile, delete_profile
from orchestrator.commands.projects import CreateProject, create_project
from orchestrator.commands.schedule_views import (
    ListSchedules,
    PreviewSchedule,
    get_schedule,
    list_schedules,
    preview_schedule,
)
from orchestrator.commands.schedules import (
    CreateSchedule,
    EditSchedule,
    NamedSchedule,
    PauseSchedule,
    create_schedule,
    delete_schedule,
    edit_schedule,
    pause_schedule,
    resume_schedule,
    run_schedule_now,
)
from orchestrator.commands.task_views import ListTasks, list_tasks
from orchestrator.commands.tasks import NamedTask
from orchestrator.commands.use import Agent, Caller
from orchestrator.domain.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotPermitted
from orchestrator.domain.schedule import Overlap
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS
from orchestrator.occurrences import following
from orchestrator.store import firing, tasks

NIGHTLY: dict[str, Any] = {
    "id": "nightly",
    "cron": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "prompt": "Look at the night.",
}


@pytest.fixture
def acme(bench):
    bench.do(create_project, CreateProject(id="acme"))
    return bench


def create(bench, **fields: Any):
    return bench.do(create_schedule, CreateSchedule(**(NIGHTLY | fields)))


def fire(bench, schedule_id: str, now: float) -> None:
    bench.database.run_sync(
        firing.fire,
        schedule_id,
        now=now,
        occurrences=following,
        new_id=lambda: "madebyc10ck00001",
        holder="w",
    )


def test_a_new_schedule_says_when_it_occurs(acme) -> None:
    made = create(acme)
    assert (made.created, made.name, made.project_id) == ("nightly", "nightly", "acme")
    assert [one.local for one in made.upcoming] == [
        "2027-01-16T02:30:00+01:00",
        "2027-01-17T02:30:00+01:00",
        "2027-01-18T02:30:00+01:00",
    ]
    shown = acme.do(get_schedule, NamedSchedule(schedule_id="nightly"))
    assert shown.schedule.next_for == made.upcoming[0].scheduled_for == made.next_at
    assert shown.schedule.task == {"title": "Look at the night.", "prompt": "Look at the night."}
    (row,) = acme.do(list_schedules, ListSchedules()).schedules
    assert (row.id, row.kind, row.expression, row.enabled) == ("nightly", "cron", "30 2 * * *", True)
    assert "schedule.created" in acme.kinds()


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"cron": "61 2 * * *"}, "cron", "'61' is no minute"),
        ({"cron": None}, "cron", "one of cron, interval and once"),
        ({"interval": 60.0}, "interval", "exclude each other"),
        ({"cron": None, "interval": 0.5}, "interval", "at least 1"),
        ({"cron": None, "interval": 1.5}, "interval", "whole seconds"),
        ({"cron": None, "once": "tomorrow"}, "once", "2031-05-01T08:00"),
        ({"cron": None, "once": "2020-01-01T00:00"}, "once", "lies in the past"),
        ({"cron": "0 0 30 2 *"}, "cron", "never comes"),
        ({"end_at": 1_800_000_001.0}, "end_at", "leaves no occurrence"),
        ({"start_at": 1.9e9, "end_at": 1.8e9}, "end_at", "not be before"),
        ({"timezone": "Europe/Berln"}, "timezone", "did you mean Europe/Berlin"),
        ({"jitter_seconds": -1.0}, "jitter_seconds", "at least 0"),
        ({"grace_seconds": 1e9}, "grace_seconds", "at most 86,400"),
        ({"missed_limit": 0}, "missed_limit", "at least 1"),
        ({"condition": ("./check.sh",)}, "condition", "an absolute path or a name on the PATH"),
        ({"condition": ()}, "condition", "name a program"),
        ({"condition": ("true", "a\0b")}, "condition.1", "NUL"),
        ({"condition_seconds": 0.0}, "condition_seconds", "at least 1"),
        ({"prompt": " "}, "prompt", "must not be empty"),
        ({"prompt": None}, "prompt", "needs a prompt"),
        ({"priority": 10**9}, "priority", "at most"),
        ({"id": "Nightly!"}, "id", "lower-case"),
        ({"name": " "}, "name", "must not be empty"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_kept(acme, fields, field: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        create(acme, **fields)
    assert (caught.value.field, said in str(caught.value)) == (field, True), str(caught.value)
    assert acme.do(list_schedules, ListSchedules()).count == 0


def test_what_it_names_must_be_there(acme) -> None:
    with pytest.raises(NotFound, match="profile ghost not found"):
        create(acme, profile_id="ghost")
    with pytest.raises(NotFound, match="project ghost not found"):
        create(acme, project_id="ghost")
    with pytest.raises(NotFound, match="schedule nightly not found"):
        acme.do(get_schedule, NamedSchedule(schedule_id="nightly"))
    with pytest.raises(NotFound, match="schedule nightly not found"):
        acme.do(edit_schedule, EditSchedule(schedule_id="nightly", name="x"))
    create(acme)
    with pytest.raises(AlreadyExists, match="schedule nightly already exists"):
        create(acme)
    with pytest.raises(NotFound, match="profile ghost not found"):
        acme.do(edit_schedule, EditSchedule(schedule_id="nightly", profile_id="ghost"))


def test_new_times_hold_from_now_on_and_other_changes_leave_them_alone(acme) -> None:
    before = create(acme).next_at
    acme.now += 10
    changed = acme.do(edit_schedule, EditSchedule(schedule_id="nightly", prompt="Other.", priority=5))
    assert (changed.fields, changed.next_at) == (("priority", "prompt"), before)
    changed = acme.do(edit_schedule, EditSchedule(schedule_id="nightly", interval=600.0))
    assert changed.fields == ("interval",)
    assert changed.next_at == acme.now + 600
    shown = acme.do(get_schedule, NamedSchedule(schedule_id="nightly")).schedule
    assert shown.task == {"title": "Look at the night.", "prompt": "Other.", "priority": 5}
    with pytest.raises(InvalidInput, match="No fields to update"):
        acme.do(edit_schedule, EditSchedule(schedule_id="nightly"))


def test_an_edit_right_after_an_occurrence_does_not_make_it_again(acme) -> None:
    create(acme, cron=None, interval=600.0)
    fire(acme, "nightly", acme.now + 600)
    acme.now += 590  # a clock that was set back a little
    acme.do(edit_schedule, EditSchedule(schedule_id="nightly", grace_seconds=30.0, jitter_seconds=0.0))
    assert acme.do(get_schedule, NamedSchedule(schedule_id="nightly")).schedule.next_for == acme.now + 610


def test_a_paused_schedule_goes_on_with_what_comes_next(acme) -> None:
    create(acme)
    paused = acme.do(pause_schedule, PauseSchedule(schedule_id="nightly", reason="the night is off"))
    assert (paused.enabled, paused.next_at) == (False, None)
    (row,) = acme.do(list_schedules, ListSchedules()).schedules
    assert row.paused_reason == "the night is off"
    acme.now += 10 * 86_400
    resumed = acme.do(resume_schedule, NamedSchedule(schedule_id="nightly"))
    assert resumed.enabled
    assert acme.now < resumed.next_at < acme.now + 86_400
    assert acme.kinds()[-2:] == ["schedule.paused", "schedule.resumed"]


def test_what_has_no_occurrence_left_is_not_resumed(acme) -> None:
    create(acme, cron=None, once="2027-01-16T00:00")
    acme.do(pause_schedule, PauseSchedule(schedule_id="nightly"))
    acme.now += 10 * 86_400
    with pytest.raises(Conflict, match="give it new times first"):
        acme.do(resume_schedule, NamedSchedule(schedule_id="nightly"))


def test_it_can_be_made_to_run_at_once(acme) -> None:
    given = {"labels": {"night": "yes"}, "requires": ("gpu",), "max_tokens": 5000}
    create(acme, profile_id="reviewer", overlap=Overlap.SKIP, **given)
    made = acme.do(run_schedule_now, NamedSchedule(schedule_id="nightly"))
    assert acme.do(list_tasks, ListTasks(schedule_id="nightly")).tasks[0].id == made.task_id
    assert acme.do(list_tasks, ListTasks(schedule_id="other")).count == 0
    task = acme.database.read_sync(tasks.get, made.task_id)
    assert (task.profile_id, task.labels, task.schedule_id) == ("reviewer", {"night": "yes"}, "nightly")
    assert (task.requires, task.max_tokens) == (("gpu",), 5000)
    explained = acme.do(explain_task, NamedTask(task_id=made.task_id))
    assert (explained.made_by.schedule_id, explained.made_by.scheduled_for) == ("nightly", None)


def test_a_task_explains_which_occurrence_made_it(acme) -> None:
    at = create(acme).next_at
    fire(acme, "nightly", at + 5)
    explained = acme.do(explain_task, NamedTask(task_id="madebyc10ck00001"))
    assert (explained.made_by.name, explained.made_by.scheduled_for) == ("nightly", at)
    acme.do(delete_schedule, NamedSchedule(schedule_id="nightly"))
    explained = acme.do(explain_task, NamedTask(task_id="madebyc10ck00001"))
    assert (explained.made_by.schedule_id, explained.made_by.name) == ("nightly", None)


def test_a_preview_needs_no_schedule(acme) -> None:
    found = acme.do(preview_schedule, PreviewSchedule(cron="0 12 * * mon", timezone="Asia/Tokyo", count=2))
    assert [one.local for one in found.occurrences] == [
        "2027-01-18T12:00:00+09:00",
        "2027-01-25T12:00:00+09:00",
    ]
    assert acme.do(preview_schedule, PreviewSchedule(once="2020-01-01")).count == 0
    with pytest.raises(InvalidInput, match="'x' is no minute"):
        acme.do(preview_schedule, PreviewSchedule(cron="x * * * *"))
    with pytest.raises(InvalidInput, match="give schedule_id"):
        acme.do(preview_schedule, PreviewSchedule())


def test_the_preview_of_a_schedule_is_what_it_will_do(acme) -> None:
    create(acme, jitter_seconds=600.0)
    found = acme.do(preview_schedule, PreviewSchedule(schedule_id="nightly", count=3)).occurrences
    shown = acme.do(get_schedule, NamedSchedule(schedule_id="nightly"))
    assert found == shown.upcoming[:3]
    assert found[0].at == shown.schedule.next_at
    assert 0 < found[0].at - found[0].scheduled_for < 600
    with pytest.raises(InvalidInput, match="either schedule_id or times"):
        acme.do(preview_schedule, PreviewSchedule(schedule_id="nightly", cron="* * * * *"))


def test_a_deleted_profile_leaves_the_schedule_without_one(acme) -> None:
    create(acme, profile_id="reviewer")
    acme.do(delete_profile, DeleteProfile(profile_id="reviewer"))
    assert acme.do(get_schedule, NamedSchedule(schedule_id="nightly")).schedule.profile_id is None


def test_no_agent_makes_schedules_or_says_which_program_decides(acme) -> None:
    made = create(acme, condition=("true",))
    run = acme.do(run_schedule_now, NamedSchedule(schedule_id=made.created))
    agent = Agent(task_id=run.task_id, attempt=1, project_id="acme", effective=CLAUDE_DEFAULTS)
    use = replace(acme.use, caller=Caller(name="agent", agent=agent))
    assert "create_schedule" not in {command.name for command in calls.open_to(use.caller)}
    assert "edit_schedule is for people" in (calls.refusal(use.caller, "edit_schedule") or "")
    with pytest.raises(NotPermitted, match="only people"):
        asyncio.run(edit_schedule(use, EditSchedule(schedule_id="nightly", condition=("rm", "-rf", "."))))
