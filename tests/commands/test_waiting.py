"""Why a task waits."""

from dataclasses import replace

import pytest

from orchestrator.commands.waiting import Facts, reasons
from orchestrator.domain.project import Project
from orchestrator.domain.task import Task, TaskState

NOW = 1_800_000_000.0
TASK = Task(
    id="0123456789abcdef",
    project_id="acme",
    title="t",
    prompt="p",
    state=TaskState.READY,
    created_at=NOW,
    updated_at=NOW,
)
PROJECT = Project(id="acme", name="Acme", created_at=NOW, updated_at=NOW)
FACTS = Facts(task=TASK, project=PROJECT, workers=1, slots=4)


def codes(facts: Facts) -> list[str]:
    return [reason.code for reason in reasons(facts, now=NOW)]


def test_a_task_with_nothing_in_its_way_is_next() -> None:
    (only,) = reasons(FACTS, now=NOW)
    assert only.code == "queue"
    assert only.message == "It is next in the queue of project acme."


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (replace(FACTS, ahead=3), ["queue"]),
        (replace(FACTS, workers=0, slots=0), ["no_worker", "queue"]),
        (replace(FACTS, busy=4), ["slots_busy", "queue"]),
        (replace(FACTS, unable=("a (secret_missing KEY)",)), ["not_here", "queue"]),
        (replace(FACTS, unable=("a (x)",), task=replace(TASK, hold="secret_missing")), ["secret_missing"]),
        (replace(FACTS, project=replace(PROJECT, paused=True)), ["project_paused", "queue"]),
        (replace(FACTS, project=replace(PROJECT, max_concurrent=2), running=2), ["project_limit", "queue"]),
        (
            replace(FACTS, project=replace(PROJECT, budget_usd_per_day=1.0), spent_usd=1.5),
            ["project_budget", "queue"],
        ),
        (replace(FACTS, task=replace(TASK, run_at=NOW + 60)), ["run_at"]),
        (replace(FACTS, task=replace(TASK, hold="profile_missing")), ["profile_missing"]),
        (
            replace(
                FACTS,
                task=replace(TASK, state=TaskState.DEFINED),
                unmet=(("fedcba9876543210", TaskState.IN_PROGRESS),),
            ),
            ["dependency"],
        ),
        (replace(FACTS, task=replace(TASK, state=TaskState.COMPLETED)), ["ended"]),
        (replace(FACTS, task=replace(TASK, state=TaskState.IN_PROGRESS, claimed_by="w")), ["running"]),
        (
            replace(FACTS, task=replace(TASK, state=TaskState.ASSIGNED, cancel_requested=True)),
            ["cancelling"],
        ),
        (replace(FACTS, task=replace(TASK, state=TaskState.WAITING_INPUT)), ["question"]),
        (replace(FACTS, task=replace(TASK, state=TaskState.PAUSED)), ["paused"]),
        (replace(FACTS, task=replace(TASK, state=TaskState.BLOCKED)), ["blocked"]),
    ],
)
def test_every_obstacle_has_its_reason(facts: Facts, expected: list[str]) -> None:
    assert codes(facts) == expected


def test_a_hold_says_when_it_is_looked_at_again() -> None:
    held = replace(TASK, hold="profile_missing", hold_message="Profile x is missing.", hold_until=NOW + 30)
    (only,) = reasons(replace(FACTS, task=held), now=NOW)
    assert only.message.startswith("Profile x is missing. Next look at ")
    assert only.message.endswith("in 30 s.")


@pytest.mark.parametrize("state", TaskState)
def test_no_state_is_without_an_explanation(state: TaskState) -> None:
    assert reasons(replace(FACTS, task=replace(TASK, state=state)), now=NOW) or state is TaskState.DEFINED


def test_labels_that_no_worker_has_are_named() -> None:
    wanting = replace(FACTS, task=replace(TASK, requires=("gpu",)), fleet=(frozenset(),))
    assert codes(wanting) == ["no_worker_with_label", "queue"]
    assert next(iter(reasons(wanting, now=NOW))).message.startswith("No worker with label gpu is alive")
    there = replace(wanting, fleet=(frozenset(), frozenset({"gpu", "eu"})))
    assert codes(there) == ["queue"]
    both = replace(there, project=replace(PROJECT, requires=("arm",)))
    assert "label arm is" in next(iter(reasons(both, now=NOW))).message


def test_a_question_says_until_when_it_is_waited_for() -> None:
    asked = replace(TASK, state=TaskState.WAITING_INPUT, result="Which colour?", answer_by=NOW + 60)
    (reason,) = reasons(replace(FACTS, task=asked), now=NOW)
    assert (reason.until, reason.needs_person) == (NOW + 60, True)
    assert "Which colour? Unless somebody answers, it fails at " in reason.message
    assert reason.message.endswith("UTC, in 60 s.")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(99, "in 99 s."), (7_200, "in 2 h."), (600, "in 10 min."), (5 * 86_400, "in 5 days.")],
)
def test_a_wait_is_told_in_the_unit_that_people_count_in(seconds: float, said: str) -> None:
    held = replace(TASK, hold="profile_missing", hold_message="", hold_until=NOW + seconds)
    (only,) = reasons(replace(FACTS, task=held), now=NOW)
    assert only.message.endswith(said)
