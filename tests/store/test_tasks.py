"""Tasks: asked for, found, listed and moved by people, the same on both databases."""

from collections.abc import Callable
from dataclasses import fields, replace

import pytest
from sqlalchemy import Connection, text, update

from orchestrator.domain.errors import AlreadyExists, IllegalTransition, InvalidInput, NotFound
from orchestrator.domain.profile import AgentProfile
from orchestrator.domain.project import Project
from orchestrator.domain.task import NewTask, Task, TaskState
from orchestrator.store import archive, dependencies, events, load, profiles, projects, spending, tasks
from orchestrator.store.database import Database
from orchestrator.store.tables import archived_tasks
from orchestrator.store.tables import tasks as table

NOW = 1_800_000_000.0

Ask = Callable[..., Task]


def put(database: Database, task_id: str, **values: object) -> None:
    """Write columns directly, as workers do by their own ways."""
    database.run_sync(lambda tx: tx.execute(update(table).where(table.c.id == task_id).values(values)))


def state(database: Database, task_id: str) -> TaskState:
    task = database.read_sync(tasks.get, task_id)
    assert task is not None
    return task.state


def kinds(database: Database) -> list[str]:
    return [stored.event.kind for stored in database.read_sync(events.after, 0)]


def listed(database: Database, **filters: object) -> list[str]:
    return [task.id for task in database.read_sync(lambda tx: tasks.list_tasks(tx, **filters))]  # type: ignore[arg-type]


def test_the_tables_hold_every_field_of_a_task() -> None:
    names = {field.name for field in fields(Task)}
    assert names <= set(table.c.keys())
    assert names <= set(archived_tasks.c.keys())


def test_a_task_comes_back_as_it_was_asked_for(database: Database, acme: Project) -> None:
    database.run_sync(profiles.create_profile, AgentProfile(id="coder", name="Coder"), now=NOW)
    new = NewTask(
        project_id="acme",
        title="Ünïcode 🙂",
        prompt="line\r\n\ttab \x01 end",
        profile_id="coder",
        priority=-5,
        run_at=NOW + 60.25,
        max_attempts=7,
        timeout_seconds=1.5,
        max_budget_usd=0.25,
        labels={"a b": "c\"'", "ü": ""},
    )
    created = database.run_sync(tasks.create, new, task_id="t1", now=NOW)
    found = database.read_sync(tasks.get, "t1")
    assert found == created
    assert found is not None
    assert all(
        getattr(found, name) == getattr(new, name) for name in ("prompt", "labels", "run_at", "priority")
    )
    assert (found.state, found.created_at, found.attempt) == (TaskState.READY, NOW, 0)


def test_a_time_that_has_passed_is_no_time_to_wait_for(ask: Ask) -> None:
    assert ask(run_at=NOW - 1).run_at is None


@pytest.mark.parametrize(
    ("field", "fields_", "error"),
    [
        ("project_id", {"project_id": "nowhere"}, NotFound),
        ("profile_id", {"profile_id": "nobody"}, NotFound),
        ("depends_on", {"depends_on": ("nothing",)}, NotFound),
        ("prompt", {"prompt": "a\0b"}, InvalidInput),
        ("title", {"title": "\ud800"}, InvalidInput),
        ("labels", {"labels": {"a": "\0"}}, InvalidInput),
    ],
)
def test_what_cannot_be_is_refused_by_field_and_changes_nothing(
    database: Database, ask: Ask, field: str, fields_: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error) as refused:
        ask(**fields_)
    assert refused.value.field == field  # type: ignore[attr-defined]
    assert listed(database) == []
    assert kinds(database) == []


def test_an_id_is_used_once(ask: Ask) -> None:
    ask(task_id="t1")
    with pytest.raises(AlreadyExists):
        ask(task_id="t1")


def test_a_task_is_found_by_the_beginning_or_the_end_of_its_id(database: Database, ask: Ask) -> None:
    for task_id in ("aaa1xyz", "aaa2xyz", "aab3qrs", "z%_4"):
        ask(task_id=task_id)

    def find(fragment: str) -> list[str]:
        return database.read_sync(tasks.find_ids, fragment, limit=5)

    assert find("aaa") == ["aaa1xyz", "aaa2xyz"]
    assert find("xyz") == ["aaa1xyz", "aaa2xyz"]
    assert find("3qrs") == ["aab3qrs"]
    assert find("%_4") == ["z%_4"]
    assert find("%") == []
    assert database.read_sync(tasks.find_ids, "aa", limit=2) == ["aaa1xyz", "aaa2xyz"]


def test_a_list_is_newest_first_and_goes_on_where_it_stopped(database: Database, ask: Ask) -> None:
    for number in range(7):
        ask(task_id=f"t{number}", now=NOW + number // 2)  # several of the same moment
    assert listed(database) == ["t6", "t5", "t4", "t3", "t2", "t1", "t0"]
    first = listed(database, limit=3)
    assert first + listed(database, before=first[-1]) == listed(database)
    with pytest.raises(NotFound):
        listed(database, before="gone")


def test_a_list_is_filtered(database: Database, ask: Ask) -> None:
    database.run_sync(projects.create, Project(id="other", name="Other", created_at=NOW, updated_at=NOW))
    database.run_sync(profiles.create_profile, AgentProfile(id="coder", name="Coder"), now=NOW)
    ask(task_id="plain")
    ask(task_id="other", project_id="other")
    ask(task_id="coded", profile_id="coder")
    ask(task_id="labelled", labels={"team": "red", 'odd "key"': "x"})
    ask(task_id="waiting", depends_on=("plain",))
    assert listed(database, project_id="other") == ["other"]
    assert listed(database, profile_id="coder") == ["coded"]
    assert listed(database, states=[TaskState.DEFINED]) == ["waiting"]
    assert listed(database, labels={"team": "red"}) == ["labelled"]
    assert listed(database, labels={'odd "key"': "x"}) == ["labelled"]
    assert listed(database, labels={"team": "blue"}) == []
    assert listed(database, labels={"team": "red", "missing": ""}) == []


def test_a_list_shows_the_beginning_of_long_texts(database: Database, ask: Ask) -> None:
    long = "x" * 2_000_000
    task = ask(prompt=long)
    (shown,) = database.read_sync(tasks.list_tasks)
    assert shown.prompt == long[: tasks.EXCERPT]
    whole = database.read_sync(tasks.get, task.id)
    assert whole is not None
    assert whole.prompt == long


def test_dependencies_hold_a_task_until_all_have_completed(database: Database, ask: Ask) -> None:
    ask(task_id="a")
    ask(task_id="b")
    assert ask(task_id="c", depends_on=("b", "a", "a")).state is TaskState.DEFINED
    assert database.read_sync(tasks.dependencies, "c") == ["a", "b"]
    put(database, "a", state="COMPLETED")
    assert database.read_sync(tasks.unmet_dependencies, "c") == [("b", TaskState.READY)]


def test_what_a_task_depends_on_may_have_completed_before(database: Database, ask: Ask) -> None:
    ask(task_id="a")
    put(database, "a", state="COMPLETED")
    assert ask(task_id="b", depends_on=("a",)).state is TaskState.READY


def test_a_task_that_depends_on_a_failed_one_is_blocked_from_the_start(database: Database, ask: Ask) -> None:
    ask(task_id="a")
    put(database, "a", state="FAILED")
    blocked = ask(task_id="b", depends_on=("a",))
    assert blocked.state is TaskState.BLOCKED
    assert blocked.result == "Task a, which it depends on, ended as FAILED."


def edit(database: Database, task_id: str, **changes: object) -> Task:
    def write(tx: Connection) -> Task:
        task = tasks.get(tx, task_id)
        assert task is not None
        return tasks.edit(tx, task, changes, now=NOW + 1)

    return database.run_sync(write)


def test_a_cycle_is_refused_with_its_path(database: Database, ask: Ask) -> None:
    ask(task_id="a")
    ask(task_id="b", depends_on=("a",))
    ask(task_id="c", depends_on=("b",))
    with pytest.raises(InvalidInput, match="a -> c -> b -> a"):
        edit(database, "a", depends_on=("c",))
    with pytest.raises(InvalidInput, match="a -> a"):
        edit(database, "a", depends_on=("a",))
    assert database.read_sync(tasks.dependencies, "a") == []


def test_an_edit_changes_what_it_names_and_says_so(database: Database, ask: Ask) -> None:
    before = ask(task_id="a", title="Old", labels={"x": "y"})
    after = edit(database, "a", title="New", priority=5)
    assert after == replace(before, title="New", priority=5, updated_at=NOW + 1)
    assert database.read_sync(tasks.get, "a") == after
    (stored,) = database.read_sync(events.after, 1)
    assert stored.event.kind == "task.updated"
    assert stored.event.data["fields"] == ["priority", "title"]


def test_an_edit_of_dependencies_moves_the_task_along(database: Database, ask: Ask) -> None:
    ask(task_id="a")
    ask(task_id="b")
    assert edit(database, "b", depends_on=("a",)).state is TaskState.DEFINED
    assert edit(database, "b", depends_on=()).state is TaskState.READY


def test_an_edit_lifts_a_hold(database: Database, ask: Ask) -> None:
    ask(task_id="a")
    put(database, "a", hold="profile_missing", hold_message="No.", hold_until=NOW + 60)
    assert edit(database, "a", priority=1).hold is None


def test_a_cancelled_task_blocks_those_that_wait_for_it(database: Database, ask: Ask) -> None:
    ask(task_id="a")
    ask(task_id="b", depends_on=("a",))
    assert database.run_sync(tasks.cancel, "a", now=NOW).state is TaskState.CANCELLED
    assert state(database, "b") is TaskState.BLOCKED
    assert kinds(database) == ["task.created", "task.created", "task.cancelled", "task.blocked"]
    with pytest.raises(IllegalTransition):
        database.run_sync(tasks.cancel, "a", now=NOW)


def test_a_retry_takes_along_what_was_blocked_by_the_failure(database: Database, ask: Ask) -> None:
    for one in ("a", "b"):
        ask(task_id=one)
    ask(task_id="c", depends_on=("a",))
    ask(task_id="d", depends_on=("a", "b"))
    database.run_sync(tasks.cancel, "a", now=NOW)
    database.run_sync(tasks.cancel, "b", now=NOW)
    database.run_sync(tasks.retry, "a", now=NOW)
    assert (state(database, "c"), state(database, "d")) == (TaskState.DEFINED, TaskState.BLOCKED)
    assert kinds(database)[-2:] == ["task.retried", "task.unblocked"]
    database.run_sync(tasks.retry, "b", now=NOW)
    assert state(database, "d") is TaskState.DEFINED
    put(database, "a", state="COMPLETED")
    database.run_sync(dependencies.after_ending, ["a"], now=NOW)
    assert (state(database, "c"), state(database, "d")) == (TaskState.READY, TaskState.DEFINED)
    database.run_sync(tasks.cancel, "b", now=NOW)
    assert state(database, "d") is TaskState.BLOCKED


def test_a_running_task_is_asked_to_cancel(database: Database, ask: Ask) -> None:
    ask(task_id="a")
    put(database, "a", state="IN_PROGRESS", claimed_by="w", lease_until=NOW + 30, attempt=1)
    task = database.run_sync(tasks.cancel, "a", now=NOW)
    assert (task.state, task.cancel_requested) == (TaskState.IN_PROGRESS, True)


def test_a_retry_begins_afresh_once_its_dependencies_allow(database: Database, ask: Ask) -> None:
    ask(task_id="a")
    ask(task_id="b", depends_on=("a",))
    database.run_sync(tasks.cancel, "a", now=NOW)
    # It would wait for ever for what has failed.
    with pytest.raises(IllegalTransition, match="depends on a, which ended as CANCELLED"):
        database.run_sync(tasks.retry, "b", now=NOW)
    assert database.run_sync(tasks.retry, "a", now=NOW).state is TaskState.READY
    assert state(database, "b") is TaskState.DEFINED
    database.run_sync(tasks.cancel, "b", now=NOW)
    assert database.run_sync(tasks.retry, "b", now=NOW).state is TaskState.DEFINED
    with pytest.raises(NotFound):
        database.run_sync(tasks.retry, "gone", now=NOW)


def test_a_paused_task_goes_on_when_resumed(database: Database, ask: Ask) -> None:
    ask(task_id="a")
    paused = database.run_sync(tasks.pause, "a", now=NOW, until=NOW + 9)
    assert (paused.state, paused.run_at) == (TaskState.PAUSED, NOW + 9)
    assert database.run_sync(tasks.resume, "a", now=NOW).state is TaskState.READY


def test_a_task_resumed_after_what_it_needs_has_failed_is_blocked(database: Database, ask: Ask) -> None:
    ask(task_id="a")
    ask(task_id="b", depends_on=("a",))
    database.run_sync(tasks.pause, "b", now=NOW)
    database.run_sync(tasks.cancel, "a", now=NOW)
    assert database.run_sync(tasks.resume, "b", now=NOW).state is TaskState.BLOCKED


def test_holds_are_lifted_together_or_by_project(database: Database, ask: Ask) -> None:
    database.run_sync(projects.create, Project(id="other", name="Other", created_at=NOW, updated_at=NOW))
    ask(task_id="a")
    ask(task_id="b", project_id="other")
    for task_id in ("a", "b"):
        put(database, task_id, hold="profile_missing", hold_until=NOW + 60)
    assert database.run_sync(tasks.reconsider, project_id="other") == 1
    assert database.run_sync(tasks.reconsider) == 1
    assert database.run_sync(tasks.reconsider) == 0


def test_counting_ahead_follows_the_order_in_which_tasks_are_taken(database: Database, ask: Ask) -> None:
    ask(task_id="later", now=NOW + 5)
    ask(task_id="urgent", priority=1, now=NOW + 9)
    ask(task_id="first")
    ask(task_id="held")
    put(database, "held", hold="checkout_busy")
    ask(task_id="not-yet", run_at=NOW + 60)
    last = ask(task_id="me", now=NOW + 7)
    assert database.read_sync(tasks.count_ahead, last) == 3


def test_projects_count_their_tasks_by_state(database: Database, ask: Ask) -> None:
    ask(task_id="a")
    ask(task_id="b")
    ask(task_id="c", depends_on=("a",))
    put(database, "b", state="ASSIGNED", claimed_by="w", lease_until=NOW + 30)
    assert database.read_sync(projects.count_tasks, "acme") == {"READY": 1, "ASSIGNED": 1, "DEFINED": 1}
    assert database.read_sync(tasks.count_claimed) == 1
    assert database.read_sync(lambda tx: tasks.count_claimed(tx, project_id="other")) == 0


def test_an_ended_task_moves_to_the_archive_whole(database: Database, ask: Ask) -> None:
    done = ask(task_id="done")
    ask(task_id="needed")
    ask(task_id="waits", depends_on=("needed",))
    for task_id in ("done", "needed"):
        put(database, task_id, state="COMPLETED", finished_at=NOW + 1)
    put(database, "waits", state="PAUSED")
    moved = database.run_sync(archive.archive, archive.Chosen(ended_by=NOW + 5), now=NOW + 9)
    assert [task.id for task in moved] == ["done"]
    assert listed(database) == ["waits", "needed"]
    kept = database.read_sync(archive.get, "done")
    assert kept == replace(done, state=TaskState.COMPLETED, finished_at=NOW + 1)
    put(database, "waits", state="CANCELLED", finished_at=NOW + 1)
    assert len(database.run_sync(archive.archive, archive.Chosen(ended_by=NOW + 5), now=NOW + 9)) == 2


def test_spending_is_summed_over_attempts_that_ended_since_and_were_no_rehearsal(database: Database) -> None:
    columns = "task_id, number, project_id, worker, started_at, ended_at, cost_usd, rehearsal"
    rows = (
        "('a', 1, 'acme', 'w', 1, 5, 0.5, false), ('a', 2, 'acme', 'w', 6, 9, 0.25, false), "
        "('b', 1, 'other', 'w', 1, 9, 8, false), ('c', 1, 'acme', 'w', 1, NULL, 4, false), "
        "('a', 3, 'acme', 'w', 10, 11, 100, true)"
    )
    database.run_sync(lambda tx: tx.execute(text(f"INSERT INTO attempts ({columns}) VALUES {rows}")))
    for since, usd in ((6.0, 0.25), (0.0, 0.75)):
        assert database.read_sync(spending.of_project, "acme", since=since).usd == usd
    assert database.read_sync(spending.of_project, "nobody", since=0.0).usd == 0.0
    assert database.read_sync(spending.of_all, since=0.0).usd == 8.75
    assert database.read_sync(spending.of_task, "a").usd == 0.75
    found = database.read_sync(load.recent, now=20.0, window_seconds=20.0)["acme"]
    assert found.finished == 3, "it took a slot"
    lately = database.read_sync(spending.lately, since=0.0, cut=8.0)
    assert sorted((whose, settled, spent.usd) for whose, settled, spent in lately) == [
        ("acme", False, 0.25),
        ("acme", True, 0.5),
        ("other", False, 8.0),
    ], "and no money"
