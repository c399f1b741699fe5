import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import lifecycle
from orchestrator.domain.errors import IllegalTransition
from orchestrator.domain.lifecycle import MAX_LOSSES, TRANSITIONS
from orchestrator.domain.task import CLAIMED, Task, TaskState

PAGE = Path(__file__).parents[2] / "docs" / "task-life.md"
S = TaskState


def task_in(state: TaskState, **fields: object) -> Task:
    base = Task(id="t1", project_id="p", title="T", prompt="P", state=state, created_at=0, updated_at=0)
    return replace(base, **fields)  # type: ignore[arg-type]


def moves(task: Task) -> dict[str, Task]:
    """What each fact makes of the task, where it is legal."""
    facts = {
        "ready": lambda: lifecycle.ready(task, now=5),
        "block": lambda: lifecycle.block(task, now=5, message="m"),
        "unblock": lambda: lifecycle.unblock(task, now=5),
        "claim": lambda: lifecycle.claim(task, worker="w", now=5, lease_seconds=30),
        "release": lambda: lifecycle.release(task, now=5),
        "begin": lambda: lifecycle.begin(task, now=5),
        "rescue": lambda: lifecycle.rescue(task, now=5, losses=1, jitter=0),
        "answer": lambda: lifecycle.answer(task, now=5),
        "lapse": lambda: lifecycle.lapse(task, now=5),
        "pause": lambda: lifecycle.pause(task, now=5),
        "resume": lambda: lifecycle.resume(task, now=5, dependencies_met=True),
        "retry": lambda: lifecycle.retry(task, now=5, dependencies_met=True),
        "cancel": lambda: lifecycle.cancel(task, now=5),
    }
    found = {}
    for fact, move in facts.items():
        try:
            found[fact] = move()
        except IllegalTransition:
            continue
    return found


@pytest.mark.parametrize("state", TaskState)
def test_a_fact_is_legal_exactly_where_the_table_says(state: TaskState) -> None:
    legal = {fact for fact, rule in TRANSITIONS.items() if state in rule.sources} - {"settle"}
    if state in CLAIMED:
        legal = legal - {"ask_cancel"} | {"cancel"}
    assert moves(task_in(state)).keys() == legal


@pytest.mark.parametrize("state", TaskState)
def test_a_fact_leads_where_the_table_says(state: TaskState) -> None:
    for fact, result in moves(task_in(state)).items():
        rule = TRANSITIONS["ask_cancel" if fact == "cancel" and state in CLAIMED else fact]
        assert result.state in rule.targets
        assert result.updated_at == 5


def test_the_chart_and_the_table_show_what_the_code_allows() -> None:
    page = PAGE.read_text(encoding="utf-8")
    drawn = {
        (source, fact, target)
        for source, target, fact in re.findall(r"^ +(\w+) --> (\w+): (\w+)$", page, re.M)
    }
    coded = {
        (source.value, fact, target.value)
        for fact, rule in TRANSITIONS.items()
        for source in rule.sources
        for target in rule.targets
        if fact != "ask_cancel" or source == target
    }
    assert drawn == coded
    rows = re.findall(r"^\| (\w+) \| ([A-Z_, ]+) \| ([A-Z_, ]+) \| (.+) \|$", page, re.M)
    assert rows == [
        (fact, ", ".join(sorted(rule.sources)), ", ".join(sorted(rule.targets)), rule.meaning)
        for fact, rule in TRANSITIONS.items()
    ]


def test_a_refusal_says_what_would_be_legal() -> None:
    with pytest.raises(IllegalTransition, match=r"task t1 is COMPLETED; claim needs one of: READY"):
        lifecycle.claim(task_in(S.COMPLETED), worker="w", now=1, lease_seconds=30)


def test_a_claim_takes_the_hold_away_and_outdates_every_claim_before() -> None:
    held = task_in(S.READY, attempt=2, hold="checkout_busy", hold_message="m", hold_until=9.0)
    taken = lifecycle.claim(held, worker="w", now=10, lease_seconds=30)
    assert (taken.attempt, taken.claimed_by, taken.lease_until, taken.hold) == (3, "w", 40, None)
    assert lifecycle.release(taken, now=11).attempt == 3


def test_a_lost_attempt_uses_none_and_the_first_is_tried_again_at_once() -> None:
    lost = task_in(S.IN_PROGRESS, attempt=1, claimed_by="w", lease_until=3.0)
    back = lifecycle.rescue(lost, now=5, losses=1, jitter=0.5)
    assert (back.state, back.failures, back.run_at, back.claimed_by) == (S.READY, 0, None, None)


@given(st.integers(2, MAX_LOSSES - 1), st.floats(0, 1, exclude_max=True))
def test_a_task_lost_again_lets_others_go_first(losses: int, jitter: float) -> None:
    back = lifecycle.rescue(task_in(S.IN_PROGRESS), now=100, losses=losses, jitter=jitter)
    assert back.run_at is not None
    assert back.run_at > 100


def test_the_session_of_a_lost_attempt_goes_on_once_and_is_then_suspected() -> None:
    first = lifecycle.rescue(task_in(S.IN_PROGRESS), now=5, losses=1, jitter=0, session_id="s")
    assert first.session_id == "s"
    again = lifecycle.rescue(
        task_in(S.IN_PROGRESS, session_id="s"), now=5, losses=2, jitter=0, session_id="s"
    )
    assert again.session_id is None


def test_a_task_that_keeps_killing_its_workers_is_blocked_with_a_way_out() -> None:
    back = lifecycle.rescue(task_in(S.IN_PROGRESS), now=5, losses=MAX_LOSSES, jitter=0)
    assert back.state is S.BLOCKED
    assert back.result is not None
    assert "orchestrator task retry t1" in back.result
    assert "3 times in a row" in back.result
    more = lifecycle.rescue(task_in(S.IN_PROGRESS), now=5, losses=MAX_LOSSES, jitter=0, max_losses=5)
    assert more.state is S.READY


def test_a_rescued_task_that_was_to_be_cancelled_is_cancelled() -> None:
    back = lifecycle.rescue(task_in(S.IN_PROGRESS, cancel_requested=True), now=5, losses=9, jitter=0)
    assert (back.state, back.finished_at) == (S.CANCELLED, 5)


def test_cancelling_a_running_task_asks_its_worker() -> None:
    asked = lifecycle.cancel(task_in(S.IN_PROGRESS), now=5)
    assert (asked.state, asked.cancel_requested, asked.finished_at) == (S.IN_PROGRESS, True, None)


def test_a_retry_gives_fresh_attempts_and_keeps_the_session() -> None:
    failed = task_in(S.FAILED, failures=3, attempt=3, session_id="s", result="no", finished_at=4.0)
    again = lifecycle.retry(failed, now=5, dependencies_met=False)
    assert (again.state, again.failures, again.attempt, again.session_id) == (S.DEFINED, 0, 3, "s")
    assert again.finished_at is again.result is None
