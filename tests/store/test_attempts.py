"""Attempts: what each ran under, said and came to, written only by whom the task belongs to."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestrator.domain.attempt import AgentMessage, Snapshot, Usage
from orchestrator.domain.errors import LeaseLost
from orchestrator.domain.task import Claim, Task, TaskState
from orchestrator.store import attempts, queue, tasks, workers
from orchestrator.store.database import Database

NOW = 1_800_000_000.0
UNDER = Snapshot(
    profile_id="reviewer",
    tier="task",
    effective={"max_turns": {"value": float("inf"), "origin": "default of claude"}},
    servers=("lint",),
    warnings=("careful",),
    rehearsal=True,
    checkout="/checkouts/t",
)


@pytest.fixture
def claim(database: Database, ask: Callable[..., Task]) -> Claim:
    task = ask()
    (claim,) = database.run_sync(queue.claim, [task.id], worker="w", now=NOW, lease_seconds=30.0)
    return claim


def said(sequence: int, text: str = "") -> AgentMessage:
    return AgentMessage(sequence=sequence, at=NOW + sequence, kind="text", body={"text": text})


def test_an_attempt_keeps_what_it_ran_under(database: Database, claim: Claim) -> None:
    task = database.run_sync(attempts.begin, claim, UNDER, now=NOW + 1)
    assert task.state is TaskState.IN_PROGRESS
    found = database.read_sync(attempts.get, task.id, 1)
    assert found is not None
    assert found.snapshot == UNDER
    assert (found.worker, found.ended_at) == ("w", None)


def test_an_attempt_that_has_not_begun_has_no_snapshot(database: Database, claim: Claim) -> None:
    found = database.read_sync(attempts.get, claim.task.id, 1)
    assert found is not None
    assert found.snapshot is None


def test_messages_are_read_from_where_one_stopped(database: Database, claim: Claim) -> None:
    database.run_sync(attempts.begin, claim, UNDER, now=NOW)
    database.run_sync(attempts.append_messages, claim, [said(0), said(1, "a\0\ud800ü")])
    database.run_sync(attempts.append_messages, claim, [])
    database.run_sync(attempts.append_messages, claim, [said(2)])
    every = database.read_sync(attempts.messages, claim.task.id, 1)
    assert every == [said(0), said(1, "a\0\ud800ü"), said(2)]
    page = database.read_sync(lambda tx: attempts.messages(tx, claim.task.id, 1, after=0, limit=1))
    assert page == every[1:2]


def test_a_message_of_twenty_mebibytes_is_kept_whole(database: Database, claim: Claim) -> None:
    database.run_sync(attempts.begin, claim, UNDER, now=NOW)
    long = said(0, "x" * (20 << 20))
    database.run_sync(attempts.append_messages, claim, [long])
    assert database.read_sync(attempts.messages, claim.task.id, 1) == [long]


def test_what_becomes_known_and_how_it_ended_is_recorded(database: Database, claim: Claim) -> None:
    database.run_sync(attempts.begin, claim, UNDER, now=NOW)
    database.run_sync(attempts.note, claim, session_id="s", enforcement={"absent": True})
    database.run_sync(attempts.note, claim)
    used = Usage(cost_usd=0.25, input_tokens=10, turns=2)
    database.run_sync(attempts.end, claim, outcome="completed", message="Done.\0", usage=used, now=NOW + 9)
    (found,) = database.read_sync(attempts.of_task, claim.task.id)
    assert (found.outcome, found.message, found.ended_at) == ("completed", "Done.\ufffd", NOW + 9)
    assert (found.session_id, found.enforcement, found.usage) == ("s", {"absent": True}, used)


def test_a_stale_worker_changes_nothing(database: Database, claim: Claim) -> None:
    """Neither before it begins, nor afterwards, nor once its attempt has been ended by who took it back."""
    stale = replace(claim, worker="other"), replace(claim, attempt=2)
    for wrong in stale:
        with pytest.raises(LeaseLost):
            database.run_sync(attempts.begin, wrong, UNDER, now=NOW)
    database.run_sync(attempts.begin, claim, UNDER, now=NOW)
    before = database.read_sync(attempts.of_task, claim.task.id)
    for wrong in stale:
        with pytest.raises(LeaseLost):
            database.run_sync(attempts.append_messages, wrong, [said(0)])
        with pytest.raises(LeaseLost):
            database.run_sync(attempts.end, wrong, outcome="completed", message="", now=NOW)
    assert database.read_sync(attempts.of_task, claim.task.id) == before
    database.run_sync(attempts.end, claim, outcome="lost", message="", now=NOW)
    with pytest.raises(LeaseLost):
        database.run_sync(attempts.append_messages, claim, [said(0)])
    with pytest.raises(LeaseLost):
        database.run_sync(attempts.note, claim, session_id="late")
    assert database.read_sync(attempts.messages, claim.task.id, 1) == []
    task = database.read_sync(tasks.get, claim.task.id)
    assert task is not None
    assert task.state is TaskState.IN_PROGRESS


def test_the_fleet_is_who_was_heard_of_and_does_not_drain(database: Database) -> None:
    def worker(name: str, **fields: object) -> workers.Worker:
        known = {"host": "h", "pid": 1, "version": "0", "slots": 4, "started_at": NOW, "seen_at": NOW}
        return workers.Worker(id=name, **{**known, **fields})  # type: ignore[arg-type]

    for one in (
        worker("a"),
        worker("b", slots=2),
        worker("old", seen_at=NOW - 999),
        worker("d", draining=True),
    ):
        database.run_sync(workers.register, one)
    database.run_sync(workers.register, worker("b", slots=3))
    assert database.read_sync(workers.fleet, now=NOW) == workers.Fleet(workers=2, slots=7)
    assert database.run_sync(workers.seen, "old", now=NOW)
    assert not database.run_sync(workers.seen, "stranger", now=NOW)
    database.run_sync(workers.leave, "a")
    assert database.read_sync(workers.fleet, now=NOW) == workers.Fleet(workers=2, slots=7)
    assert [one.id for one in database.read_sync(workers.list_workers)] == ["b", "d", "old"]
