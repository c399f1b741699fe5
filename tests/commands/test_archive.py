"""Archiving by command, and looking at what was archived."""

import pytest

from orchestrator.commands.archive import ArchiveTasks, archive_tasks
from orchestrator.commands.attempts import GetAttempt, ReadMessages, attempt_messages, get_attempt
from orchestrator.commands.projects import CreateProject, create_project
from orchestrator.commands.task_views import ListTasks, get_task, list_tasks
from orchestrator.commands.tasks import CreateTask, NamedTask, cancel_task, create_task, retry_task
from orchestrator.domain.errors import Conflict, InvalidInput, NotFound
from orchestrator.domain.task import TaskState

DAY = 86_400.0


@pytest.fixture(autouse=True)
def acme(bench) -> None:
    bench.do(create_project, CreateProject(id="acme"))


def make(bench, **fields) -> str:
    return bench.do(create_task, CreateTask(**{"prompt": "do it", **fields})).created


def ended(bench, **fields) -> str:
    task_id = make(bench, **fields)
    bench.end(bench.begin(task_id, ("assistant", {"text": "I did it"})))
    return task_id


def archive(bench, **fields):
    return bench.do(archive_tasks, ArchiveTasks(**fields))


def test_an_archived_task_is_found_with_its_attempts_and_what_was_said(bench) -> None:
    task_id = ended(bench, profile_id="reviewer")
    before = bench.do(get_task, NamedTask(task_id=task_id))
    assert archive(bench, task_ids=(task_id[-6:],)).task_ids == (task_id,)
    after = bench.do(get_task, NamedTask(task_id=task_id[-6:]))
    assert (after.task, after.attempts) == (before.task, before.attempts)
    assert (before.archived_at, after.archived_at) == (None, bench.now)
    assert bench.do(get_attempt, GetAttempt(task_id=task_id)).attempt.outcome == "completed"
    (said,) = bench.do(attempt_messages, ReadMessages(task_id=task_id)).messages
    assert said.body == {"text": "I did it"}
    assert bench.do(list_tasks, ListTasks()).tasks == ()
    (row,) = bench.do(list_tasks, ListTasks(archived=True, states=(TaskState.COMPLETED,))).tasks
    assert (row.id, row.profile_id) == (task_id, "reviewer")
    assert bench.kinds()[-1] == "task.archived"


def test_the_archive_is_listed_page_by_page(bench) -> None:
    made = []
    for _ in range(3):
        bench.now += 1
        made.append(ended(bench))
    archive(bench, older_than_seconds=0)
    first = bench.do(list_tasks, ListTasks(archived=True, limit=2))
    rest = bench.do(list_tasks, ListTasks(archived=True, limit=2, before=first.next))
    assert [row.id for row in (*first.tasks, *rest.tasks)] == made[::-1]


def test_what_was_archived_cannot_be_changed_and_says_why(bench) -> None:
    task_id = ended(bench)
    archive(bench, task_ids=(task_id,))
    with pytest.raises(Conflict, match=f"task {task_id} was archived"):
        bench.do(retry_task, NamedTask(task_id=task_id))
    with pytest.raises(Conflict, match="was archived"):
        make(bench, depends_on=(task_id,))


def test_all_that_is_asked_for_must_hold(bench) -> None:
    bench.do(create_project, CreateProject(id="beta"))
    old = ended(bench, project_id="acme")
    other = ended(bench, project_id="beta")
    given_up = make(bench, project_id="acme")
    bench.do(cancel_task, NamedTask(task_id=given_up))
    bench.now += 2 * DAY
    new = ended(bench, project_id="acme")
    make(bench, project_id="acme")
    looked = archive(bench, older_than_seconds=DAY, project_id="acme", dry_run=True)
    assert (looked.archived, set(looked.task_ids)) == (2, {old, given_up})
    assert len(bench.do(list_tasks, ListTasks()).tasks) == 5
    chosen = {"older_than_seconds": DAY, "project_id": "acme", "states": (TaskState.CANCELLED,)}
    assert archive(bench, **chosen).task_ids == (given_up,)
    assert archive(bench, older_than_seconds=DAY).archived == 2
    assert {row.id for row in bench.do(list_tasks, ListTasks(archived=True)).tasks} == {old, other, given_up}
    assert new in {row.id for row in bench.do(list_tasks, ListTasks()).tasks}


def test_a_task_that_others_wait_for_stays(bench) -> None:
    needed = ended(bench)
    cancelled = make(bench)
    blocked = make(bench, depends_on=(cancelled,))
    bench.do(cancel_task, NamedTask(task_id=cancelled))
    waits = make(bench, depends_on=(needed,), run_at=bench.now + DAY)
    done = archive(bench, older_than_seconds=0)
    assert (done.archived, done.kept) == (0, 2)
    for task_id in (waits, blocked):
        bench.do(cancel_task, NamedTask(task_id=task_id))
    bench.now += 1
    assert archive(bench, older_than_seconds=0).archived == 4


def test_a_failed_dependency_stays_while_what_it_stopped_may_be_retried(bench) -> None:
    """With the failed task out of sight a retry would find nothing left to wait for."""
    failed = make(bench)
    stopped = make(bench, depends_on=(failed,))
    bench.do(cancel_task, NamedTask(task_id=failed))
    bench.now += 2 * DAY
    bench.do(cancel_task, NamedTask(task_id=stopped))
    assert archive(bench, older_than_seconds=DAY).kept == 1
    with pytest.raises(Conflict, match=f"depends on {failed}"):
        bench.do(retry_task, NamedTask(task_id=stopped))


def test_what_an_agent_asked_for_stays_while_its_own_task_goes_on(bench) -> None:
    parent = make(bench)
    child = ended(bench)
    bench.database.run_sync(
        lambda tx: tx.exec_driver_sql("UPDATE tasks SET parent_id = ? WHERE id = ?", (parent, child))
    )
    assert archive(bench, older_than_seconds=0).kept == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "say which"),
        ({"dry_run": True}, "say which"),
        ({"states": (TaskState.READY,)}, "READY is no end"),
        ({"older_than_seconds": -1.0}, "older_than_seconds must be at least 0"),
        ({"project_id": "nobody"}, "project nobody not found"),
        ({"task_ids": ("zzzz",)}, "task zzzz not found"),
    ],
)
def test_a_wrong_request_archives_nothing(bench, fields, said) -> None:
    ended(bench)
    with pytest.raises((InvalidInput, NotFound), match=said):
        archive(bench, **fields)
    assert bench.do(list_tasks, ListTasks(archived=True)).count == 0


def test_a_task_that_has_not_ended_cannot_be_archived(bench) -> None:
    task_id = make(bench)
    with pytest.raises(InvalidInput, match="READY, and has not ended"):
        archive(bench, task_ids=(task_id,))
