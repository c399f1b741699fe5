"""The queue, leases and limits against a model, with transactions that fail at either side of their commit.

Whatever people and workers do, in any order, and wherever a connection is lost: no task is lost, none ends
twice, no limit is exceeded, and a worker that lost its lease changes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    consumes,
    invariant,
    multiple,
    rule,
)
from sqlalchemy import text

from orchestrator.domain import outcome
from orchestrator.domain.attempt import Snapshot
from orchestrator.domain.ending import Ending
from orchestrator.domain.errors import IllegalTransition, LeaseLost
from orchestrator.domain.limit import Place
from orchestrator.domain.project import Project
from orchestrator.domain.settle import settle
from orchestrator.domain.task import TERMINAL, Claim, NewTask, Task
from orchestrator.store import attempts, projects, queue, rescue, tasks
from orchestrator.store.database import Transaction
from orchestrator.store.lone import Question, claim_here, claim_lone
from orchestrator.worker.basis import Order
from orchestrator.worker.turn import turn
from stateful import DONE, NEVER, UNHEARD, CutOff, DatabaseMachine, try_out
from turns import Asking, counsel, order

BEGAN = 1_800_000_000.0
LEASE = 30.0
WORKERS = ("w1", "w2", "w3")
LIMITS = {"free": None, "one": 1, "two": 2}
UNDER = Snapshot(profile_id="__system__", tier="system", effective={})
ENDINGS: Sequence[outcome.Outcome] = (
    outcome.Completed(answer="done"),
    outcome.Completed(answer="done"),
    outcome.Crashed(message="it ended"),
    outcome.Overloaded(message="busy"),
    outcome.ModelRefused(message="no"),
    outcome.Interrupted(),
    outcome.Asked(question="which?"),
    outcome.RateLimited(message="slow down", reset_at=BEGAN + 500.0),
)
ENDED = frozenset({"task.completed", "task.failed", "task.cancelled"})
COUNSEL = counsel()
COMMITS = st.sampled_from([DONE, DONE, DONE, DONE, NEVER, UNHEARD])


class Queue(DatabaseMachine):
    asked = Bundle("asked")
    claimed = Bundle("claimed")

    def __init__(self) -> None:
        super().__init__()
        self.now = BEGAN
        self.ended: dict[tuple[str, int], str] = {}
        """How each attempt ended that has, as first seen."""
        self.endings: Counter[str] = Counter()
        """How often each task was seen to end."""
        self.over = dict.fromkeys(LIMITS, 0)
        """Attempts of each project that ran when its limit was last looked at."""
        self.ids = 0
        for name, limit in LIMITS.items():
            project = Project(id=name, name=name, max_concurrent=limit, created_at=BEGAN, updated_at=BEGAN)
            self.database.run_sync(projects.create, project)

    def teardown(self) -> None:
        try:
            self._nothing_is_lost()
        finally:
            self.database.close()

    # -- people

    @rule(
        target=asked,
        project=st.sampled_from(sorted(LIMITS)),
        need=st.none() | asked,
        later=st.sampled_from([None, None, 40.0]),
        attempts_=st.integers(1, 2),
        commit=COMMITS,
    )
    def ask(self, project: str, need: str | None, later: float | None, attempts_: int, commit: str) -> Any:
        self.ids += 1
        task_id = f"t{self.ids:03}"
        new = NewTask(
            project_id=project,
            title="T",
            prompt="Do it.",
            depends_on=(need,) if need else (),
            run_at=None if later is None else self.now + later,
            max_attempts=attempts_,
        )
        self.run_to(commit, tasks.create, new, task_id=task_id, now=self.now)
        return multiple() if commit == NEVER else task_id

    @rule(task=asked, what=st.sampled_from(["cancel", "retry", "pause", "resume"]), commit=COMMITS)
    def person(self, task: str, what: str, commit: str) -> None:
        verbs = {"cancel": tasks.cancel, "retry": tasks.retry, "pause": tasks.pause, "resume": tasks.resume}
        before = self._task(task)
        try:
            self.run_to(commit, verbs[what], task, now=self.now)
        except IllegalTransition:
            assert self._task(task) == before

    # -- workers

    @rule(target=claimed, worker=st.sampled_from(WORKERS), slots=st.integers(1, 3), commit=COMMITS)
    def take(self, worker: str, slots: int, commit: str) -> Any:
        running = self._running()
        turned = self.run_to(commit, turn, self._order(worker, slots=slots), COUNSEL, self._clock)
        for name, count in self._running().items():
            limit = LIMITS[name]
            assert limit is None or count <= max(limit, running[name])
        return multiple(*(claim for claim, _slot in turned.claims)) if turned else multiple()

    @rule(target=claimed, worker=st.sampled_from(WORKERS), asked=COMMITS)
    def take_in_one_question(self, worker: str, asked: str) -> Any:
        """What a whole turn would take, or nothing at all; nothing when there is none to take."""
        before, meant = self._states(), []

        def only_meant(tx: Transaction) -> None:
            meant.append(turn(tx, self._order(worker, slots=2), COUNSEL, self._clock))
            raise CutOff

        with pytest.raises(CutOff):
            self.database.run_sync(only_meant)
        (whole,) = meant
        question = Question(
            worker=worker,
            lease_seconds=LEASE,
            labelled=False,
            rules=whole.rules,
            precedents={(name, None): Place(host="here") for name in LIMITS},
            now=self.now,
        )
        if self.database.dialect == "postgresql":
            asking = Asking(lambda work, *args: self.run_to(asked, work, *args))
            found = asyncio.run(claim_lone(asking, question))
        else:
            found = self.run_to(asked, claim_here, question)
        if found is None:
            return multiple()
        if found.claim is not None:
            assert [claim for claim, _slot in whole.claims] == [found.claim]
            assert not found.empty
            return found.claim
        assert self._states() == before
        assert not (found.empty and whole.seen)
        return multiple()

    @rule(claim=claimed, commit=COMMITS)
    def begin(self, claim: Claim, commit: str) -> None:
        before = self._task(claim.task.id)
        try:
            self.run_to(commit, attempts.begin, claim, UNDER, now=self.now)
        except LeaseLost:
            assert self._task(claim.task.id) == before

    @rule(claim=claimed, commit=COMMITS)
    def beat(self, claim: Claim, commit: str) -> None:
        before = self._task(claim.task.id)
        kept = self.run_to(
            commit, queue.heartbeat, [claim.task.id], worker=claim.worker, now=self.now, lease_seconds=LEASE
        )
        if kept == []:
            assert self._task(claim.task.id) == before

    @rule(claim=consumes(claimed), how=st.sampled_from(ENDINGS), again=st.booleans(), commit=COMMITS)
    def end(self, claim: Claim, how: outcome.Outcome, again: bool, commit: str) -> None:
        """Settled, and settled once more by a worker that did not hear the answer."""
        before = self._task(claim.task.id)
        held = (before.claimed_by, before.attempt) == (claim.worker, claim.attempt)
        ending = Ending(claim=claim, settlement=settle(claim.task, how, now=self.now, jitter=0.5))
        ending_it = self._order(claim.worker, endings=(ending,))
        turned = self.run_to(commit, turn, ending_it, COUNSEL, self._clock)
        if not held:
            assert self._task(claim.task.id) == before
            assert not turned or not turned.recorded
        if again or commit == NEVER:
            once = self._task(claim.task.id)
            repeated = self.database.run_sync(turn, ending_it, COUNSEL, self._clock)
            if commit != NEVER:
                assert not repeated.recorded
                assert self._task(claim.task.id) == once

    @rule(claim=consumes(claimed))
    def die(self, claim: Claim) -> None:
        """Nobody works on it any more, and nobody says so."""

    @rule(commit=COMMITS)
    def rescue(self, commit: str) -> None:
        self.run_to(commit, rescue.rescue_expired, rescue.Terms(now=self.now, jitter=0.5))

    @rule(seconds=st.sampled_from([1.0, LEASE + 1.0, 600.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    # -- what always holds

    @invariant()
    def every_attempt_ends_once_and_stays_as_it_ended(self) -> None:
        rows = self._rows("SELECT task_id, number, outcome FROM attempts WHERE ended_at IS NOT NULL")
        now = {(task, number): how for task, number, how in rows}
        assert self.ended.items() <= now.items()
        self.ended = now

    @invariant()
    def an_attempt_is_open_exactly_while_its_task_is_claimed(self) -> None:
        opened = self._rows("SELECT task_id, number FROM attempts WHERE ended_at IS NULL")
        held = self._rows("SELECT id, attempt FROM tasks WHERE claimed_by IS NOT NULL")
        assert sorted(opened) == sorted(held)
        states = self._rows("SELECT id, attempt FROM tasks WHERE state IN ('ASSIGNED', 'IN_PROGRESS')")
        assert sorted(states) == sorted(held)

    @invariant()
    def every_ending_is_announced_once(self) -> None:
        said = Counter(task for task, kind in self._rows("SELECT task_id, kind FROM events") if kind in ENDED)
        retried = Counter(
            task for task, kind in self._rows("SELECT task_id, kind FROM events") if kind == "task.retried"
        )
        ended = {name for name, state in self._states().items() if state in TERMINAL}
        for name in self._states():
            # Each but the last ending was undone by a retry; BLOCKED can be retried too.
            assert said[name] >= (name in ended)
            assert said[name] <= retried[name] + (name in ended)

    @invariant()
    def what_is_claimed_depends_on_nothing_unfinished(self) -> None:
        assert not self._rows(
            "SELECT t.id FROM tasks t JOIN task_dependencies d ON d.task_id = t.id "
            "JOIN tasks n ON n.id = d.depends_on "
            "WHERE t.state = 'DEFINED' AND n.state IN ('FAILED', 'CANCELLED')"
        )
        assert not self._rows("SELECT id FROM tasks WHERE failures > max_attempts OR failures < 0")

    def _nothing_is_lost(self) -> None:
        """With a worker that completes everything, whatever nobody put aside comes to its end."""
        for _ in range(60):
            self.now += 1000.0
            self.database.run_sync(rescue.rescue_expired, rescue.Terms(now=self.now, jitter=0.5))
            turned = self.database.run_sync(turn, self._order("last", slots=20), COUNSEL, self._clock)
            done = outcome.Completed(answer="done")
            endings = tuple(
                Ending(claim=claim, settlement=settle(claim.task, done, now=self.now, jitter=0.5))
                for claim, _slot in turned.claims
            )
            self.database.run_sync(turn, self._order("last", endings=endings), COUNSEL, self._clock)
            if not self._rows("SELECT id FROM tasks WHERE state IN ('READY', 'ASSIGNED', 'IN_PROGRESS')"):
                break
        left = {state for state in self._states().values() if state not in TERMINAL}
        assert left <= {"PAUSED", "WAITING_INPUT", "BLOCKED", "DEFINED"}
        waiting = self._rows(
            "SELECT t.id FROM tasks t WHERE t.state = 'DEFINED' AND NOT EXISTS ("
            "SELECT 1 FROM task_dependencies d JOIN tasks n ON n.id = d.depends_on "
            "WHERE d.task_id = t.id AND n.state <> 'COMPLETED')"
        )
        assert not waiting

    # -- means

    def _clock(self, _tx: Transaction) -> float:
        return self.now

    def _order(self, worker: str, *, slots: int = 0, endings: tuple[Ending, ...] = ()) -> Order:
        return order(worker, slots=slots, endings=endings, lease_seconds=LEASE)

    def _task(self, task_id: str) -> Task:
        found = self.database.read_sync(tasks.get, task_id)
        assert found is not None
        return found

    def _states(self) -> dict[str, str]:
        return {row[0]: row[1] for row in self._rows("SELECT id, state FROM tasks")}

    def _running(self) -> dict[str, int]:
        rows = self._rows(
            "SELECT project_id, count(*) FROM attempts WHERE ended_at IS NULL GROUP BY project_id"
        )
        return {**dict.fromkeys(LIMITS, 0), **{row[0]: row[1] for row in rows}}

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.database.read_sync(lambda tx: [tuple(row) for row in tx.execute(text(query))])


def test_no_order_of_things_loses_or_doubles_anything_on_sqlite(
    new_sqlite: Callable[[], str],
) -> None:
    try_out(Queue, new_sqlite, examples=25, steps=40)


@pytest.mark.postgres
def test_no_order_of_things_loses_or_doubles_anything_on_postgresql(postgres_server: Any) -> None:
    try_out(Queue, postgres_server.create, examples=5, steps=40)
