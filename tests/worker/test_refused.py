"""A worker whose database refuses what an attempt came to goes on, and nobody else's ending is lost."""

from dataclasses import replace

import pytest

from orchestrator.domain.attempt import Usage
from orchestrator.domain.ending import Ending
from orchestrator.domain.task import Claim, Settlement, TaskState
from orchestrator.worker.leash import Leash

pytestmark = pytest.mark.anyio

S = TaskState
DONE = Settlement(state=S.COMPLETED, outcome="completed", message="done", used_attempt=True)


def no_number(ending: Ending) -> Ending:
    return replace(ending, usage=Usage(cost_usd=float("nan")))


def too_large(ending: Ending) -> Ending:
    return replace(ending, usage=Usage(input_tokens=2**80))


def no_text(ending: Ending) -> Ending:
    return replace(ending, settlement=replace(DONE, outcome="comp\0leted"))


@pytest.mark.parametrize("poison", [no_number, too_large, no_text])
async def test_an_ending_that_the_database_refuses_is_a_fault_and_harms_no_other(lab, poison) -> None:
    bad, good, later = lab.ask(max_attempts=1), lab.ask(), lab.ask()

    async def execute(claim: Claim, leash: Leash) -> Ending:
        ending = Ending(claim=claim, settlement=DONE)
        return poison(ending) if claim.task.id == bad else ending

    async with lab.working(execute=execute, slots=2):
        await lab.until(lambda: all(lab.recorded(one) for one in (bad, good, later)))
    assert [lab.task(one).state for one in (good, later)] == [S.COMPLETED, S.COMPLETED]
    if lab.database.dialect == "sqlite" and poison is not no_number:
        return  # SQLite takes these as they are
    assert (lab.task(bad).state, lab.attempts(bad)[0].outcome) == (S.FAILED, "worker_fault")
    assert "could not be stored" in (lab.task(bad).result or "")
    assert [event.kind for event in lab.events(bad)].count("attempt.ended") == 1


async def test_a_session_whose_name_no_database_can_hold_is_stored_as_far_as_it_goes(lab) -> None:
    task_id = lab.ask()

    async def execute(claim: Claim, leash: Leash) -> Ending:
        return Ending(claim=claim, settlement=replace(DONE, session_id="a\0b"), session_id="a\0b")

    async with lab.working(execute=execute):
        await lab.until(lambda: lab.recorded(task_id))
    assert lab.task(task_id).state is S.COMPLETED
    assert lab.attempts(task_id)[0].session_id == "a\ufffdb"
