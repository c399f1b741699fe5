"""Budgets and rate limits: what is left is what an attempt may spend, and one refusal speaks for all."""

import json
import time
from dataclasses import replace

import pytest
from sqlalchemy import text

from orchestrator.domain.attempt import Usage
from orchestrator.domain.ending import Ending
from orchestrator.domain.limit import Limit, LimitScope
from orchestrator.domain.task import Claim, Settlement, TaskState
from orchestrator.store import backoffs, limits
from orchestrator.worker.leash import Leash

pytestmark = pytest.mark.anyio

S = TaskState


def argument(path, name: str) -> float:
    argv = json.loads(path.read_text(encoding="utf-8"))["argv"]
    [given] = [one.partition("=")[2] for one in argv if one.startswith(f"--{name}=")]
    return float(given)


@pytest.fixture(autouse=True)
def for_real(request: pytest.FixtureRequest) -> None:
    """What a rehearsal costs counts for nothing."""
    for name in {"lab", "sqlite_lab"} & set(request.fixturenames):
        lab = request.getfixturevalue(name)
        lab.registry = replace(lab.registry, base=replace(lab.registry.base, rehearsal=False))


async def test_an_attempt_is_given_what_is_left_of_the_budget_of_its_task(sqlite_lab, tmp_path) -> None:
    lab = sqlite_lab
    task_id = lab.ask("cost=0.3;api_error=500", max_budget_usd=1.0)
    async with lab.working():
        await lab.until(lambda: lab.recorded(task_id))
        again = text("UPDATE tasks SET run_at = NULL, prompt = :prompt")
        prompt = f"FAKE[dump={tmp_path / 'seen'};cost=0.8]"
        await lab.database.run(lambda tx: tx.execute(again, {"prompt": prompt}) and None)
        await lab.until((tmp_path / "seen").exists)
        await lab.until(lambda: lab.task(task_id).state is S.COMPLETED)
    assert argument(tmp_path / "seen", "max-budget-usd") == pytest.approx(0.7)
    origin = lab.attempts(task_id)[1].snapshot.effective["max_budget_usd"]["origin"]
    assert origin == f"the budget of task {task_id}"


async def test_a_task_that_has_spent_its_budget_fails_and_says_so(sqlite_lab) -> None:
    lab = sqlite_lab
    task_id = lab.ask("cost=1.5;api_error=500", max_budget_usd=1.0, max_tokens=900)
    async with lab.working():
        await lab.until(lambda: lab.recorded(task_id))
        await lab.database.run(lambda tx: tx.execute(text("UPDATE tasks SET run_at = NULL")) and None)
        await lab.until(lambda: lab.task(task_id).state is S.FAILED)
    assert "$1.50 of $1.00, 15 of 900 tokens" in (lab.task(task_id).result or "")
    assert "task edit" in (lab.task(task_id).result or "")


async def test_what_a_day_may_cost_stops_a_project_and_the_instance_and_nobody_else(lab) -> None:
    lab.project("dear", budget_usd_per_day=1.0)
    lab.project("long", budget_tokens_per_day=100)
    dear, long = [lab.ask(project="dear") for _ in range(6)], [lab.ask(project="long") for _ in range(6)]
    plain = [lab.ask() for _ in range(3)]

    async def execute(claim: Claim, leash: Leash) -> Ending:
        done = Settlement(state=S.COMPLETED, outcome="completed", message="done", used_attempt=True)
        return Ending(claim=claim, settlement=done, usage=Usage(cost_usd=0.5, output_tokens=50))

    async with lab.working(execute=execute, slots=1):
        await lab.until(lambda: all(lab.task(one).state is S.COMPLETED for one in plain))
        await lab.until(lambda: sum(lab.task(one).state is S.COMPLETED for one in dear) == 2)
        await lab.until(lambda: sum(lab.task(one).state is S.COMPLETED for one in long) == 2)
    limit = Limit(scope=LimitScope.INSTANCE, budget_usd_per_day=3.6)
    await lab.database.run(limits.put, limit, now=1.0)
    more = [lab.ask() for _ in range(4)]
    async with lab.working(execute=execute, slots=1):
        await lab.until(lambda: lab.task(more[0]).state is S.COMPLETED)
    states = [lab.task(one).state for one in (*dear, *long, *more)]
    assert states.count(S.READY) == 4 + 4 + 3


async def test_an_attempt_that_ran_into_the_rest_of_a_day_goes_on_another_day(sqlite_lab, tmp_path) -> None:
    lab = sqlite_lab
    lab.project("dear", budget_usd_per_day=1.0)
    task_id = lab.ask(f"dump={tmp_path / 'seen'};cost=1.1;error=error_max_budget_usd", project="dear")
    async with lab.working():
        await lab.until(lambda: lab.recorded(task_id))
    assert argument(tmp_path / "seen", "max-budget-usd") == 1.0
    task = lab.task(task_id)
    assert (task.state, task.hold, task.failures) == (S.READY, "project_budget", 0)
    assert "goes on the next day" in (task.hold_message or "")


async def test_a_rate_limit_is_heeded_by_every_worker_with_the_same_credential(lab) -> None:
    reset = int(time.time()) + 3600
    limited = lab.ask(f"rate_limit={reset};api_error=429")
    key = {"ANTHROPIC_API_KEY": "sk-one-of-a-kind"}
    async with lab.working(secrets=key):
        await lab.until(lambda: lab.recorded(limited))
        await lab.until(lambda: bool(lab.database.read_sync(backoffs.current, now=time.time())))
    task = lab.task(limited)
    assert (task.state, task.failures) == (S.READY, 0)
    assert reset < (task.run_at or 0) < reset + 40
    waiting, other = lab.ask(), {"ANTHROPIC_API_KEY": "sk-another-one"}
    async with lab.working(secrets=key) as stop, lab.working(secrets=other):
        await lab.until(lambda: lab.task(waiting).state is S.COMPLETED)
        last = lab.ask()
        await lab.until(lambda: lab.task(last).state is S.COMPLETED)
        stop.set()
    workers = {one.worker for task_id in (waiting, last) for one in lab.attempts(task_id)}
    assert len(workers) == 1, "the worker with the limited credential took one"
    assert next(iter(workers)) != lab.attempts(limited)[0].worker
