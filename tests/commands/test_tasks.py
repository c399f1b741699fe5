"""Commands on tasks."""

import pytest

from orchestrator.commands.checks import PROMPT_BYTES
from orchestrator.commands.projects import CreateProject, NamedProject, create_project, pause_project
from orchestrator.commands.task_views import ListTasks, get_task, list_tasks
from orchestrator.commands.tasks import (
    CreateTask,
    EditTask,
    NamedTask,
    cancel_task,
    create_task,
    edit_task,
    retry_task,
)
from orchestrator.domain.errors import Conflict, InvalidInput, NotFound
from orchestrator.domain.task import TaskState


@pytest.fixture(autouse=True)
def acme(bench) -> None:
    bench.do(create_project, CreateProject(id="acme"))


def make(bench, **fields) -> str:
    return bench.do(create_task, CreateTask(**{"prompt": "do it", **fields})).created


def test_a_task_needs_a_prompt_or_a_title_and_takes_one_from_the_other(bench) -> None:
    made = bench.do(create_task, CreateTask(prompt="Fix the   bug\nand test it"))
    assert made.title == "Fix the bug"
    task = bench.do(get_task, NamedTask(task_id=make(bench, prompt=None, title="Tidy up"))).task
    assert task.prompt == "Tidy up"
    with pytest.raises(InvalidInput, match="needs a prompt or a title"):
        bench.do(create_task, CreateTask())


def test_the_only_project_need_not_be_named_and_several_must(bench) -> None:
    assert bench.do(create_task, CreateTask(prompt="x")).project_id == "acme"
    bench.do(create_project, CreateProject(id="beta"))
    with pytest.raises(InvalidInput, match="project_id is required, as there are several: acme, beta"):
        bench.do(create_task, CreateTask(prompt="x"))


def test_a_prompt_of_two_mebibytes_comes_back_byte_for_byte(bench) -> None:
    prompt = "ä\n" * (2 * 1024 * 1024 // 3)
    assert bench.do(get_task, NamedTask(task_id=make(bench, prompt=prompt))).task.prompt == prompt


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"prompt": "x" * (PROMPT_BYTES + 1)}, "prompt", "prompt must be at most 8,388,608 bytes"),
        ({"prompt": " \n"}, "prompt", "prompt must not be empty"),
        ({"prompt": "a\x00b"}, "prompt", "NUL"),
        ({"prompt": "a\ud800b"}, "prompt", "valid Unicode"),
        ({"title": "x" * 301}, "title", "at most 300 characters"),
        ({"priority": 10**9}, "priority", "priority must be"),
        ({"max_attempts": 0}, "max_attempts", "max_attempts must be at least 1"),
        ({"timeout_seconds": 0.0}, "timeout_seconds", "more than 0"),
        ({"max_budget_usd": float("inf")}, "max_budget_usd", "max_budget_usd"),
        ({"run_at": 1.8e12}, "run_at", "run_at must be"),
        ({"labels": {"": "x"}}, "labels.", "names and values of labels"),
        ({"profile_id": "a b"}, "profile_id", "profile_id must be 1 to 64"),
        ({"project_id": "x/../y"}, "project_id", "project_id must be 1 to 64"),
        ({"depends_on": ("a/b",)}, "depends_on", "depends_on must be the id of a task"),
    ],
)
def test_what_is_not_valid_is_refused_by_name_and_changes_nothing(bench, fields, field, said) -> None:
    before = bench.kinds()
    with pytest.raises(InvalidInput, match=said) as caught:
        make(bench, **fields)
    assert caught.value.field == field
    assert bench.do(list_tasks, ListTasks()).count == 0
    assert bench.kinds() == before


@pytest.mark.parametrize(
    "fields", [{"profile_id": "nobody"}, {"project_id": "nobody"}, {"depends_on": ("0000000000000000",)}]
)
def test_what_is_unknown_is_not_found_and_changes_nothing(bench, fields) -> None:
    with pytest.raises(NotFound, match="not found"):
        make(bench, **fields)
    assert bench.do(list_tasks, ListTasks()).count == 0


def test_a_task_is_named_by_any_beginning_or_end_that_fits_only_it(bench) -> None:
    first, second = make(bench), make(bench)
    assert first[:15] == second[:15]
    assert bench.do(get_task, NamedTask(task_id=first[-4:])).task.id == first
    with pytest.raises(InvalidInput, match=f"fits several tasks: {first}, {second}"):
        bench.do(get_task, NamedTask(task_id=first[:6]))
    with pytest.raises(NotFound, match="task zzzz not found"):
        bench.do(get_task, NamedTask(task_id="zzzz"))


def test_a_task_waits_for_what_it_depends_on(bench) -> None:
    first = make(bench)
    made = bench.do(create_task, CreateTask(prompt="then", depends_on=(first[-4:],)))
    assert made.state is TaskState.DEFINED
    assert bench.do(get_task, NamedTask(task_id=made.created)).depends_on == (first,)


def test_dependencies_cannot_be_edited_into_a_cycle(bench) -> None:
    first = make(bench)
    second = make(bench, depends_on=(first,))
    with pytest.raises(InvalidInput, match=f"{first} -> {second} -> {first}"):
        bench.do(edit_task, EditTask(task_id=first, depends_on=(second,)))
    assert bench.do(get_task, NamedTask(task_id=first)).depends_on == ()


def test_an_edit_changes_what_it_names_and_null_clears(bench) -> None:
    task_id = make(bench, profile_id="reviewer", timeout_seconds=60.0)
    done = bench.do(edit_task, EditTask(task_id=task_id, profile_id=None, title="New name"))
    assert done.fields == ("profile_id", "title")
    task = bench.do(get_task, NamedTask(task_id=task_id)).task
    assert (task.profile_id, task.title, task.timeout_seconds) == (None, "New name", 60.0)
    with pytest.raises(InvalidInput, match="No fields to update"):
        bench.do(edit_task, EditTask(task_id=task_id))


def test_a_running_task_keeps_its_prompt_and_an_ended_one_everything(bench) -> None:
    task_id = make(bench)
    claim = bench.begin(task_id)
    with pytest.raises(Conflict, match="prompt cannot change while it runs"):
        bench.do(edit_task, EditTask(task_id=task_id, prompt="other"))
    bench.do(edit_task, EditTask(task_id=task_id, profile_id="reviewer"))
    bench.end(claim)
    with pytest.raises(Conflict, match="is COMPLETED"):
        bench.do(edit_task, EditTask(task_id=task_id, priority=1))


def test_cancelling_ends_a_waiting_task_and_asks_for_a_running_one(bench) -> None:
    waiting, running = make(bench), make(bench)
    assert bench.do(cancel_task, NamedTask(task_id=waiting)).state is TaskState.CANCELLED
    bench.begin(running)
    asked = bench.do(cancel_task, NamedTask(task_id=running))
    assert (asked.state, asked.cancel_requested) == (TaskState.IN_PROGRESS, True)


def test_a_cancelled_task_can_be_tried_again_and_a_completed_one_not(bench) -> None:
    task_id = make(bench)
    bench.do(cancel_task, NamedTask(task_id=task_id))
    assert bench.do(retry_task, NamedTask(task_id=task_id)).state is TaskState.READY
    bench.end(bench.begin(task_id))
    with pytest.raises(Conflict, match="is COMPLETED"):
        bench.do(retry_task, NamedTask(task_id=task_id))


def test_a_task_for_a_paused_project_is_taken_with_a_warning(bench) -> None:
    bench.do(pause_project, NamedProject(project_id="acme"))
    assert bench.do(create_task, CreateTask(prompt="x")).warnings == ("project acme is paused",)


def test_pages_hold_every_task_once_newest_first(bench) -> None:
    made = []
    for _ in range(7):
        bench.now += 1
        made.append(make(bench))
    seen: list[str] = []
    before = None
    while True:
        page = bench.do(list_tasks, ListTasks(limit=3, before=before))
        seen += [row.id for row in page.tasks]
        before = page.next
        if before is None:
            break
    assert seen == made[::-1]


def test_a_list_can_be_narrowed(bench) -> None:
    red = make(bench, labels={"team": "red"}, profile_id="reviewer")
    make(bench, labels={"team": "blue"})
    for wanted in (ListTasks(labels={"team": "red"}), ListTasks(profile_id="reviewer")):
        assert [row.id for row in bench.do(list_tasks, wanted).tasks] == [red]
    assert bench.do(list_tasks, ListTasks(states=(TaskState.FAILED,))).count == 0
    with pytest.raises(NotFound):
        bench.do(list_tasks, ListTasks(project_id="beta"))
    with pytest.raises(InvalidInput, match="limit must be between 1 and 500"):
        bench.do(list_tasks, ListTasks(limit=0))


def test_a_task_shows_its_attempts(bench) -> None:
    task_id = make(bench)
    bench.end(bench.begin(task_id))
    details = bench.do(get_task, NamedTask(task_id=task_id))
    (attempt,) = details.attempts
    assert (attempt.number, attempt.outcome, attempt.profile_id) == (1, "completed", "reviewer")
    assert attempt.cost_usd == 0.25
    assert details.task.result == "done"
