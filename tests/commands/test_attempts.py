"""Commands on attempts."""

import pytest

from orchestrator.commands.attempts import GetAttempt, ReadMessages, attempt_messages, get_attempt
from orchestrator.commands.projects import CreateProject, create_project
from orchestrator.commands.tasks import CreateTask, create_task
from orchestrator.domain.errors import InvalidInput, NotFound
from orchestrator.domain.outcome import Crashed


@pytest.fixture
def task_id(bench) -> str:
    bench.do(create_project, CreateProject(id="acme"))
    return bench.do(create_task, CreateTask(prompt="x")).created


def read(bench, task_id: str, **fields):
    return bench.do(attempt_messages, ReadMessages(task_id=task_id, **fields))


def test_before_the_first_attempt_nothing_was_said(bench, task_id: str) -> None:
    page = read(bench, task_id)
    assert (page.number, page.messages, page.ended) == (None, (), False)
    with pytest.raises(NotFound, match="has had none"):
        bench.do(get_attempt, GetAttempt(task_id=task_id))


def test_messages_are_read_once_each_from_the_last_one_seen(bench, task_id: str) -> None:
    claim = bench.begin(task_id, ("init", {}), ("text", {"text": "one"}), ("text", {"text": "two"}))
    first = read(bench, task_id, limit=2)
    second = read(bench, task_id, after=first.last)
    assert [m.kind for m in first.messages] == ["init", "text"]
    assert [m.body["text"] for m in second.messages] == ["two"]
    assert not second.ended
    assert read(bench, task_id, after=second.last).last == second.last
    bench.end(claim)
    assert read(bench, task_id, after=second.last).ended


def test_an_attempt_has_ended_only_when_all_of_it_was_read(bench, task_id: str) -> None:
    bench.end(bench.begin(task_id, ("text", {"text": "one"}), ("text", {"text": "two"})))
    assert not read(bench, task_id, limit=1).ended


def test_each_attempt_has_its_own_messages_and_the_latest_is_known(bench, task_id: str) -> None:
    claim = bench.begin(task_id, ("text", {"text": "first"}))
    bench.end(claim, Crashed(message="gone"))
    bench.now += 3600
    bench.wake()
    bench.begin(task_id, ("text", {"text": "second"}))
    page = read(bench, task_id, number=1)
    assert (page.messages[0].body["text"], page.latest, page.ended) == ("first", 2, True)
    assert read(bench, task_id).messages[0].body["text"] == "second"
    assert bench.do(get_attempt, GetAttempt(task_id=task_id, number=1)).attempt.outcome == "crashed"
    with pytest.raises(NotFound, match="attempt 3"):
        read(bench, task_id, number=3)


def test_a_page_has_its_limits(bench, task_id: str) -> None:
    with pytest.raises(InvalidInput, match="limit must be between 1 and 1000"):
        read(bench, task_id, limit=1001)
