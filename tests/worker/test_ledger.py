"""What was spent today: exact, whoever spent it, and however the clock goes."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from orchestrator.domain.attempt import Usage
from orchestrator.domain.budget import Spent
from orchestrator.domain.ending import Ending
from orchestrator.domain.task import Claim, Settlement, TaskState
from orchestrator.store import spending
from orchestrator.store.database import open_database
from orchestrator.store.load import DAY
from orchestrator.worker.leash import Leash
from orchestrator.worker.ledger import Ledger

MIDNIGHT = 20_000 * DAY
numbers = itertools.count()


@pytest.mark.anyio
async def test_nothing_is_claimed_once_a_budget_is_spent_whichever_worker_spent_it(lab) -> None:
    lab.project("dear", budget_usd_per_day=1.0, max_concurrent=1)
    for _ in range(8):
        lab.ask(project="dear")
    claimed: list[str] = []

    async def execute(claim: Claim, leash: Leash) -> Ending:
        claimed.append(claim.task.project_id)
        done = Settlement(state=TaskState.COMPLETED, outcome="completed", message="done", used_attempt=True)
        return Ending(claim=claim, settlement=done, usage=Usage(cost_usd=0.5))

    async with lab.working(execute=execute, slots=1), lab.working(execute=execute, slots=1):
        await lab.until(lambda: claimed.count("dear") >= 2)
        for _ in range(4):
            plain = [lab.ask() for _ in range(4)]
            await lab.until(lambda ids=plain: all(lab.task(one).state is TaskState.COMPLETED for one in ids))
    assert claimed.count("dear") == 2


ENDINGS = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 9), st.booleans()),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(ENDINGS, st.sampled_from([0.0, 1.0, 4.0, 60.0, 1000.0, -50.0, DAY])), max_size=8))
def test_it_says_what_counting_the_whole_day_would(tmp_path_factory, sqlite_template, rounds) -> None:
    path: Path = tmp_path_factory.mktemp("ledger") / "o.db"
    path.write_bytes(sqlite_template.read_bytes())
    ledger, now = Ledger(), MIDNIGHT + DAY - 500.0
    insert = text(
        "INSERT INTO attempts (task_id, number, project_id, worker, started_at, ended_at, cost_usd, "
        "output_tokens, rehearsal) VALUES (:task, 1, :project, 'w', 1, :at, :cost, :cost, :rehearsal)"
    )
    with open_database(f"sqlite:///{path}") as database:
        for endings, seconds in rounds:
            # An attempt ends by the clock of the transaction that says so: never before the last look.
            for project, cost, rehearsal in endings:
                row = {"task": f"t{next(numbers)}", "project": project, "cost": cost}
                row |= {"at": now, "rehearsal": rehearsal}
                database.run_sync(lambda tx, row=row: tx.execute(insert, row) and None)
            found = database.run_sync(ledger.today, now)
            midnight = now - now % DAY
            for project in ("a", "b"):
                whole = database.read_sync(spending.of_project, project, since=midnight)
                assert found.get(project, Spent()) == whole
            now += seconds
