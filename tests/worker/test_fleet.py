"""Workers side by side: which labels they carry, and what is asked of them from afar."""

import asyncio
import threading
from collections import Counter

import pytest

from orchestrator.domain.ending import Ending
from orchestrator.domain.limit import Limit, LimitScope
from orchestrator.domain.task import Claim, Settlement, TaskState
from orchestrator.store import limits, waiting, workers
from orchestrator.store.database import Transaction
from orchestrator.worker.leash import Leash

pytestmark = pytest.mark.anyio

S = TaskState
BOUND = 20.0
DONE = Settlement(state=S.COMPLETED, outcome="completed", message="done", used_attempt=True)


async def at_once(claim: Claim, leash: Leash) -> Ending:
    return Ending(claim=claim, settlement=DONE)


async def test_a_task_goes_to_a_worker_with_the_labels_that_it_and_its_project_require(lab) -> None:
    lab.project("eu", requires=("eu",))
    plain = [lab.ask() for _ in range(3)]
    drawn = [lab.ask(requires=("gpu",)) for _ in range(12)]
    both = lab.ask(requires=("gpu",), project="eu")
    near = lab.ask(project="eu")
    last = lab.ask(priority=200)
    async with lab.working(execute=at_once, labels=("eu",)):
        await lab.until(lambda: all(lab.task(one).state is S.COMPLETED for one in (*plain, near, last)))
    assert {lab.task(one).state for one in (*drawn, both)} == {S.READY}
    async with lab.working(execute=at_once, labels=("gpu",)):
        await lab.until(lambda: all(lab.task(one).state is S.COMPLETED for one in drawn))
    assert lab.task(both).state is S.READY
    async with lab.working(execute=at_once, labels=("eu", "gpu", "fast")):
        await lab.until(lambda: lab.task(both).state is S.COMPLETED)


async def test_a_worker_drains_when_it_is_told_to_by_a_command(lab, tmp_path) -> None:
    task_id = lab.ask(f"touch={tmp_path / 'started'};hang")
    worker = lab.worker(drain_seconds=0.1)
    async with asyncio.timeout(30), lab.working(worker) as stop:
        await lab.until((tmp_path / "started").exists)
        assert await lab.database.run(workers.ask_to_drain, worker.id)
        await stop.drain.wait()
        assert lab.database.read_sync(workers.alive, now=0.0) == []
    assert (lab.task(task_id).state, lab.attempts(task_id)[0].outcome) == (S.READY, "interrupted")
    assert lab.database.read_sync(workers.list_workers) == []
    assert not lab.database.run_sync(workers.ask_to_drain, worker.id)


async def test_an_idle_worker_hears_at_once_that_it_is_to_drain(lab) -> None:
    """Long before its heartbeat, and before it would look by itself."""
    lab.project()
    worker = lab.worker(heartbeat_seconds=300.0, poll_seconds=300.0, lease_seconds=900.0)
    async with lab.working(worker) as stop:
        await lab.until(lambda: bool(lab.database.read_sync(workers.list_workers)))
        assert await lab.database.run(workers.ask_to_drain, worker.id)
        await stop.drain.wait()


async def test_a_task_that_another_worker_had_in_hand_and_left_is_taken_soon(lab) -> None:
    """Nobody says that it was left: what a worker decides from, others pass over until it has decided."""
    lab.project(max_concurrent=5)
    left, in_hand, let_go = lab.ask(), threading.Event(), threading.Event()

    def decide(tx: Transaction) -> None:
        assert [one.id for one in waiting.look(tx, most=8).candidates] == [left]
        in_hand.set()
        assert let_go.wait(BOUND)

    deciding = asyncio.create_task(lab.database.run(decide))
    assert await asyncio.to_thread(in_hand.wait, BOUND)
    if lab.database.dialect == "sqlite":  # where the others wait until it has
        let_go.set()
    async with lab.working(execute=at_once, poll_seconds=300.0):
        seen = await asyncio.to_thread(lab.ask, project="zeta")
        await lab.until(lambda: lab.task(seen).state is S.COMPLETED)
        ended = lab.task(seen).finished_at
        await lab.until(lambda: lab.database.read_sync(workers.list_workers)[0].seen_at > ended + 1.0)
        let_go.set()  # it has been idle for long
        await deciding
        await lab.until(lambda: lab.task(left).state is S.COMPLETED)


@pytest.mark.parametrize(
    "limit",
    [
        Limit(scope=LimitScope.INSTANCE, max_concurrent=3),
        Limit(scope=LimitScope.HOST, name="here", max_concurrent=3),
        Limit(scope=LimitScope.PROFILE, name="coder", max_concurrent=3),
        Limit(scope=LimitScope.MODEL, name="claude-fable-5", max_concurrent=3),
    ],
    ids=lambda limit: limit.scope,
)
async def test_a_limit_holds_across_workers_and_leaves_the_rest_alone(lab, limit) -> None:
    await lab.database.run(limits.put, limit, now=1.0)
    await asyncio.to_thread(lab.write_profile, "coder", config={"model": "claude-fable-5"})
    ids = [lab.ask(profile_id="coder", project=project) for project in ("acme", "zeta") for _ in range(12)]
    others = [lab.ask() for _ in range(4)]
    at_work: Counter[bool] = Counter()
    most: Counter[bool] = Counter()

    async def execute(claim: Claim, leash: Leash) -> Ending:
        mine = claim.task.profile_id == "coder"
        at_work[mine] += 1
        most[mine] = max(most[mine], at_work[mine])
        await asyncio.sleep(0.005)
        at_work[mine] -= 1
        return Ending(claim=claim, settlement=DONE)

    first = lab.working(execute=execute, slots=8, host="here")
    async with first, lab.working(execute=execute, slots=8, host="here"):
        await lab.until(lambda: all(lab.task(one).state is S.COMPLETED for one in (*ids, *others)))
    assert most[True] <= 3
    assert most[True] == 3 or limit.scope in (LimitScope.INSTANCE, LimitScope.HOST)
