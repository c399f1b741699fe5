"""Questions that nobody answers: their tasks end in time, on the database's clock alone."""

from collections.abc import Callable

import pytest

from orchestrator.domain.errors import IllegalTransition
from orchestrator.domain.outcome import Asked
from orchestrator.domain.settle import settle
from orchestrator.domain.task import Task, TaskState
from orchestrator.store import events, questions, queue, settling, tasks
from orchestrator.store.database import Database

NOW = 1_800_000_000.0
WEEK = 7 * 86400.0
S = TaskState


@pytest.fixture
def asked(database: Database, ask: Callable[..., Task]) -> Callable[..., Task]:
    """A task whose agent asked at `NOW`; the worker's own clock says something else entirely."""

    def make(*, seconds: float | None = WEEK, **fields: object) -> Task:
        task = ask(**fields)
        (claim,) = database.run_sync(queue.claim, [task.id], worker="w1", now=NOW, lease_seconds=30.0)
        outcome = Asked(question="Which colour?")
        settlement = settle(claim.task, outcome, now=1.0, jitter=0.5, answer_seconds=seconds)
        ending = settling.Ending(claim=claim, settlement=settlement)
        assert database.run_sync(settling.settle, [ending], worker="w1", now=NOW)
        return found(database, task.id)

    return make


def found(database: Database, task_id: str) -> Task:
    task = database.read_sync(tasks.get, task_id)
    assert task is not None
    return task


def test_it_waits_until_its_time_is_over_and_not_a_moment_less(database, asked) -> None:
    task = asked()
    assert (task.state, task.answer_by) == (S.WAITING_INPUT, NOW + WEEK)
    assert not database.read_sync(questions.any_overdue, now=NOW + WEEK - 1)
    assert database.run_sync(questions.lapse, now=NOW + WEEK - 1) == []
    assert database.read_sync(questions.any_overdue, now=NOW + WEEK)


def test_then_it_fails_with_the_question_and_the_way_out_and_takes_along_what_depends_on_it(
    database, asked, ask
) -> None:
    task = asked()
    dependent = ask(depends_on=(task.id,))
    database.run_sync(questions.lapse, now=NOW + WEEK)
    ended = found(database, task.id)
    assert (ended.state, ended.answer_by, ended.finished_at) == (S.FAILED, None, NOW + WEEK)
    assert ended.result == (
        "Nobody answered in time what its agent asked: Which colour? "
        f"`orchestrator task retry {task.id}` lets the agent go on without an answer."
    )
    assert found(database, dependent.id).state is S.BLOCKED
    last = database.read_sync(events.after, 0, task_id=task.id)[-1].event
    assert (last.kind, last.data["outcome"], last.data["attempt"]) == ("task.failed", "unanswered", 1)
    assert database.run_sync(questions.lapse, now=NOW + WEEK) == [], "once"


def test_without_a_limit_it_waits_without_end(database, asked) -> None:
    assert asked(seconds=None).answer_by is None
    assert database.run_sync(questions.lapse, now=NOW + 1000 * WEEK) == []


@pytest.mark.parametrize("move", ["answer", "pause", "cancel"])
def test_what_a_person_takes_in_hand_is_no_longer_counted(database, asked, move: str) -> None:
    task = asked()
    if move == "answer":
        database.run_sync(questions.answer, task.id, "Blue", by="me", now=NOW + 1)
    else:
        database.run_sync(getattr(tasks, move), task.id, now=NOW + 1)
    assert found(database, task.id).answer_by is None
    assert database.run_sync(questions.lapse, now=NOW + WEEK) == []


def test_a_retry_goes_on_and_a_late_answer_is_refused(database, asked) -> None:
    task = asked()
    database.run_sync(questions.lapse, now=NOW + WEEK)
    with pytest.raises(IllegalTransition, match="is FAILED; answer needs"):
        database.run_sync(questions.answer, task.id, "Blue", by="me", now=NOW + WEEK + 1)
    again = database.run_sync(tasks.retry, task.id, now=NOW + WEEK + 2)
    assert (again.state, again.result, again.session_id) == (S.READY, None, task.session_id)
