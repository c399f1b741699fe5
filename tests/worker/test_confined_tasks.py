"""Tasks that agents ask for, at launch: whatever the vault says by then, never wider than who asked."""

import asyncio
import time

import pytest

from orchestrator.commands.waiting import PASSING
from orchestrator.domain.confinement import WIDER_THAN_CALLER
from orchestrator.domain.task import TaskState
from orchestrator.store import tasks

S = TaskState


@pytest.fixture
def parent(lab) -> str:
    """A task of which one attempt has ended, under a profile that grants two tools."""
    lab.write_profile("reviewer", allowed=["Read", "Grep"], config={"max_turns": 10})
    task_id = lab.ask("result=planned", profile_id="reviewer")
    lab.settle(task_id)
    return task_id


def child_of(lab, parent: str, **fields) -> str:
    return lab.ask(
        "result=looked", **{"profile_id": "reviewer", "parent_id": parent, "parent_attempt": 1, **fields}
    )


def edit(lab, task_id: str, **fields) -> None:
    lab.database.run_sync(lambda tx: tasks.edit(tx, tasks.get(tx, task_id), fields, now=time.time()))


def test_it_runs_under_what_its_caller_had(lab, parent: str) -> None:
    (task,) = lab.settle(child_of(lab, parent))
    assert (task.state, task.result) == (S.COMPLETED, "looked")


@pytest.mark.parametrize("where", ["profile", "overlay"])
def test_a_profile_widened_since_holds_it_and_the_message_says_in_what_and_the_way_out(
    lab, parent: str, where: str
) -> None:
    task_id = child_of(lab, parent)
    lab.write_profile(
        "reviewer",
        project="acme" if where == "overlay" else None,
        allowed=["Read", "Grep", "Bash"],
        config={"max_turns": 20},
    )
    (task,) = lab.settle(task_id)
    assert (task.state, task.hold, task.failures) == (S.READY, WIDER_THAN_CALLER, 0)
    assert task.hold not in PASSING, "a person has to look at it"
    said = task.hold_message or ""
    assert f"attempt 1 of task {parent}" in said
    assert "allowed_tools, max_turns" in said
    assert f"orchestrator task edit {task_id} --profile reviewer" in said
    assert lab.attempts(task_id) == [], "nothing was begun, and looking again leaves nothing either"


def test_a_profile_widened_between_the_claim_and_the_start_holds_it_too(lab, parent: str) -> None:
    task_id = child_of(lab, parent)

    async def widened_first(claim, leash):
        await asyncio.to_thread(lab.write_profile, "reviewer", allowed=["Read", "Grep", "Bash"])
        return await worker._execute_task(claim, leash)

    worker = lab.worker(execute=widened_first)

    async def work() -> None:
        async with lab.working(worker):
            await lab.until(lambda: lab.task(task_id).hold is not None)

    asyncio.run(work())
    assert lab.task(task_id).hold == WIDER_THAN_CALLER
    assert [one.outcome for one in lab.attempts(task_id)] == ["held"]
    assert not lab.events(task_id, "attempt.started"), "no agent was started"


def test_who_names_the_profile_as_a_person_answers_for_it(lab, parent: str) -> None:
    task_id = child_of(lab, parent)
    lab.write_profile("reviewer", allowed=["Read", "Grep", "Bash"])
    edit(lab, task_id, profile_id="reviewer")
    (task,) = lab.settle(task_id)
    assert task.state is S.COMPLETED


def test_narrowing_the_profile_again_lets_it_start(lab, parent: str) -> None:
    task_id = child_of(lab, parent)
    lab.write_profile("reviewer", allowed=["Read", "Bash"])
    assert lab.settle(task_id)[0].hold == WIDER_THAN_CALLER
    lab.write_profile("reviewer", allowed=["Read"], config={"max_turns": 5})
    lab.database.run_sync(tasks.reconsider)

    async def work() -> None:
        async with lab.working():
            await lab.until(lambda: lab.task(task_id).state is S.COMPLETED)

    asyncio.run(work())


def test_a_person_may_give_it_more_time_and_money(lab, parent: str) -> None:
    task_id = child_of(lab, parent, timeout_seconds=5.0, max_budget_usd=0.5)
    edit(lab, task_id, timeout_seconds=None, max_budget_usd=50.0)
    assert lab.settle(task_id)[0].state is S.COMPLETED


def test_a_caller_that_is_no_longer_known_grants_nothing(lab, parent: str) -> None:
    task_id = child_of(lab, parent, parent_attempt=7)
    (task,) = lab.settle(task_id)
    assert task.hold == WIDER_THAN_CALLER
    assert "no longer known" in (task.hold_message or "")
