"""Tokens of attempts, what is called with them, and questions, on both databases."""

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.domain.attempt import Snapshot
from orchestrator.domain.ending import Ending
from orchestrator.domain.errors import Conflict, IllegalTransition, NotPermitted
from orchestrator.domain.outcome import Asked, Completed, Outcome
from orchestrator.domain.question import Question
from orchestrator.domain.settle import settle as decide
from orchestrator.domain.task import Claim, Task, TaskState
from orchestrator.store import attempts, callers, events, questions, queue, rescue, settling, tasks
from orchestrator.store.database import Database
from orchestrator.store.rescue import Terms

NOW = 1_800_000_000.0
SNAPSHOT = Snapshot(profile_id="helper", tier="task", effective={"profile_id": "helper"})


@pytest.fixture
def begin(database: Database, ask: Callable[..., Task]) -> Callable[..., Claim]:
    """A task that is being worked on, with a token whose digest is the task's id and the attempt's number."""

    def started(task_id: str | None = None) -> Claim:
        wanted = task_id or ask().id
        (claim,) = database.run_sync(queue.claim, [wanted], worker="w1", now=NOW, lease_seconds=60.0)
        database.run_sync(attempts.begin, claim, SNAPSHOT, now=NOW)
        digest = f"{claim.task.id}.{claim.attempt}"
        database.run_sync(callers.issue, claim, digest=digest, now=NOW)
        return claim

    return started


def end(database: Database, claim: Claim, outcome: Outcome) -> None:
    ending = Ending(claim=claim, settlement=decide(claim.task, outcome, now=NOW, jitter=0.5))
    assert database.run_sync(settling.settle, [ending], worker="w1", now=NOW)


def facts(database: Database, task_id: str, kind: str) -> list[Any]:
    stored = database.read_sync(events.after, 0, task_id=task_id, kinds=(kind,))
    return [one.event for one in stored]


def ask_person(database: Database, claim: Claim, text: str) -> None:
    asked = Question(task_id=claim.task.id, attempt=claim.attempt, question=text, asked_at=NOW)
    database.run_sync(questions.ask, asked, project_id="acme")


def test_a_token_says_whose_attempt_it_is_while_that_goes_on(database: Database, begin: Any) -> None:
    claim, other = begin(), begin()
    known = database.read_sync(callers.bearer, f"{claim.task.id}.1")
    assert known == callers.Bearer(
        task_id=claim.task.id, attempt=1, project_id="acme", effective={"profile_id": "helper"}
    )
    assert database.read_sync(callers.bearer, "guessed") is None
    end(database, claim, Completed(answer="done"))
    assert database.read_sync(callers.bearer, f"{claim.task.id}.1") is None
    assert database.read_sync(callers.bearer, f"{other.task.id}.1") is not None


def test_the_token_of_an_attempt_that_lost_its_worker_is_no_good(database: Database, begin: Any) -> None:
    claim = begin()
    assert database.run_sync(rescue.rescue_expired, Terms(now=NOW + 61, jitter=0.5))
    assert database.read_sync(callers.bearer, f"{claim.task.id}.1") is None


def test_the_next_attempt_has_its_own_token_and_the_last_one_stays_dead(
    database: Database, begin: Any
) -> None:
    claim = begin()
    ask_person(database, claim, "Which colour?")
    end(database, claim, Asked(question="Which colour?"))
    database.run_sync(questions.answer, claim.task.id, "Blue", by="operator", now=NOW)
    begin(claim.task.id)
    assert database.read_sync(callers.bearer, f"{claim.task.id}.1") is None
    second = database.read_sync(callers.bearer, f"{claim.task.id}.2")
    assert second is not None
    assert second.attempt == 2


def test_calls_are_facts_about_the_attempt_and_refusals_say_why(database: Database, begin: Any) -> None:
    claim = begin()
    bearer = database.read_sync(callers.bearer, f"{claim.task.id}.1")
    assert bearer is not None
    database.run_sync(callers.called, bearer, "get_task", refused=None, now=NOW)
    database.run_sync(callers.called, bearer, "cancel_task", refused="no", now=NOW)
    (called,) = facts(database, claim.task.id, "tool.called")
    (refused,) = facts(database, claim.task.id, "tool.refused")
    assert called.subject == refused.subject == f"task/{claim.task.id}/attempt/1"
    assert called.data == {"attempt": 1, "tool": "get_task", "profile": "helper"}
    assert refused.data == {"attempt": 1, "tool": "cancel_task", "profile": "helper", "reason": "no"}


def test_nothing_is_called_in_the_name_of_an_attempt_that_ended_meanwhile(
    database: Database, begin: Any
) -> None:
    claim = begin()
    bearer = database.read_sync(callers.bearer, f"{claim.task.id}.1")
    assert bearer is not None
    end(database, claim, Completed(answer="done"))
    with pytest.raises(NotPermitted, match="has ended; nothing was done"):
        database.run_sync(callers.called, bearer, "get_task", refused=None, now=NOW)
    assert facts(database, claim.task.id, "tool.called") == []


def test_an_attempt_asks_one_question(database: Database, begin: Any) -> None:
    claim = begin()
    ask_person(database, claim, "Which colour?")
    with pytest.raises(Conflict, match="has asked already"):
        ask_person(database, claim, "And which brush?")
    assert database.read_sync(questions.unanswered, [claim.task.id]) == {(claim.task.id, 1): "Which colour?"}


def test_an_answer_lets_the_task_start_again_in_its_session(database: Database, begin: Any) -> None:
    claim = begin()
    ask_person(database, claim, "Which colour?")
    with pytest.raises(IllegalTransition, match="answer needs one of: WAITING_INPUT"):
        database.run_sync(questions.answer, claim.task.id, "Blue", by="operator", now=NOW)
    end(database, claim, Asked(question="Which colour?"))
    waiting = database.read_sync(tasks.get, claim.task.id)
    assert waiting is not None
    assert (waiting.state, waiting.claimed_by, waiting.result) == (
        TaskState.WAITING_INPUT,
        None,
        "Which colour?",
    )
    answered = database.run_sync(questions.answer, claim.task.id, "Blue", by="operator", now=NOW + 5)
    assert (answered.state, answered.result, answered.failures) == (TaskState.READY, None, 0)
    assert database.read_sync(questions.unanswered, [claim.task.id]) == {}
    (kept,) = database.read_sync(questions.of_task, claim.task.id)
    assert (kept.answer, kept.answered_at, kept.answered_by) == ("Blue", NOW + 5, "operator")
    (fact,) = facts(database, claim.task.id, "task.answered")
    assert fact.data["by"] == "operator"
