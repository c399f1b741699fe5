import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

from orchestrator.domain import lifecycle
from orchestrator.domain.attempt import Snapshot, Usage
from orchestrator.domain.ending import Ending
from orchestrator.domain.project import CheckoutKind, Project
from orchestrator.domain.task import Claim, Settlement, Task, TaskState
from orchestrator.store import (
    attempts,
    events,
    load,
    projects,
    queue,
    rescue,
    settling,
    spending,
    tasks,
    waiting,
)
from orchestrator.store.database import Database, Transaction, open_database
from orchestrator.store.rescue import Terms

NOW = 1_800_000_000.0
S = TaskState
Ask = Callable[..., Task]


def claim(database: Database, *ids: str, worker: str = "w1", now: float = NOW) -> list[Claim]:
    return database.run_sync(queue.claim, list(ids), worker=worker, now=now, lease_seconds=30.0)


def settle(database: Database, *endings: Ending, worker: str = "w1", now: float = NOW + 5) -> list[Ending]:
    return database.run_sync(settling.settle, list(endings), worker=worker, now=now)


def done(claimed: Claim, **fields: object) -> Ending:
    settled = Settlement(state=S.COMPLETED, outcome="completed", message="yes", used_attempt=True)
    return Ending(claim=claimed, settlement=replace(settled, **fields))  # type: ignore[arg-type]


def snoozed(claimed: Claim, **fields: object) -> Ending:
    given = {"state": S.READY, "outcome": "crashed", "message": "no", "used_attempt": True, **fields}
    return Ending(claim=claimed, settlement=Settlement(**given))  # type: ignore[arg-type]


def found(database: Database, task_id: str) -> Task:
    task = database.read_sync(tasks.get, task_id)
    assert task is not None
    return task


def kinds(database: Database, task_id: str) -> list[str]:
    return [one.event.kind for one in database.read_sync(events.after, 0, task_id=task_id, limit=1000)]


def due(database: Database) -> float | None:
    return database.run_sync(waiting.look, most=1).due


def ids_of(database: Database, most: int = 10) -> list[str]:
    return [one.id for one in database.run_sync(waiting.look, most=most).candidates]


def test_candidates_are_those_of_each_project_that_are_taken_first(database, ask) -> None:
    database.run_sync(projects.create, Project(id="zeta", name="Z", created_at=1, updated_at=1))
    ask(task_id="late", now=NOW + 2)
    ask(task_id="early", now=NOW)
    ask(task_id="urgent", priority=1, now=NOW + 3)
    ask(task_id="b", project_id="zeta", now=NOW)
    ask(task_id="a", project_id="zeta", now=NOW)
    assert set(ids_of(database, 2)) == {"urgent", "early", "a", "b"}
    assert set(ids_of(database, 1)) == {"urgent", "a"}


def test_what_waits_for_anything_is_no_candidate(database, ask) -> None:
    first = ask()
    ask(depends_on=(first.id,))
    ask(run_at=NOW + 100)
    held = ask()
    database.run_sync(
        queue.hold, [queue.Held(task_id=held.id, reason="r", message="m", until=NOW + 9)], now=NOW
    )
    assert ids_of(database) == [first.id]
    claim(database, first.id)
    assert ids_of(database) == []


def test_a_paused_project_has_no_candidates(database, ask, acme) -> None:
    ask()
    database.run_sync(projects.update, replace(acme, paused=True))
    assert ids_of(database) == []


def test_a_claim_makes_of_the_task_what_the_lifecycle_says(database, ask) -> None:
    task = ask()
    (taken,) = claim(database, task.id)
    assert taken.task == lifecycle.claim(task, worker="w1", now=NOW, lease_seconds=30.0)
    assert found(database, task.id) == taken.task
    (attempt,) = database.read_sync(attempts.of_task, task.id)
    assert (attempt.number, attempt.worker, attempt.started_at, attempt.ended_at) == (1, "w1", NOW, None)


def test_a_task_is_claimed_once_whoever_asks(database, ask) -> None:
    task = ask()
    assert len(claim(database, task.id)) == 1
    assert claim(database, task.id, worker="w2") == []


def test_claims_come_in_the_order_they_were_picked(database, ask) -> None:
    picked = [ask().id for _ in range(8)][::-1]
    assert [one.task.id for one in claim(database, *picked)] == picked


def test_many_workers_at_once_take_every_task_exactly_once(database, ask, open_again) -> None:
    ids = {ask().id for _ in range(60)}
    doors = [open_again() for _ in range(4)]

    def take(number: int) -> list[str]:
        taken: list[str] = []

        def turn(tx: Transaction) -> list[Claim]:
            some = [one.id for one in waiting.look(tx, most=7).candidates]
            return queue.claim(tx, some, worker=f"w{number}", now=NOW, lease_seconds=30.0)

        for _ in range(200):
            claims = doors[number].run_sync(turn)
            taken += [one.task.id for one in claims]
            if not claims and len(taken) and not ids_of(doors[number]):
                break
        return taken

    with ThreadPoolExecutor(4) as threads:
        shares = list(threads.map(take, range(4)))
    everything = [task_id for share in shares for task_id in share]
    assert len(everything) == len(set(everything))
    assert set(everything) == ids


def test_a_heartbeat_extends_what_is_still_held_and_tells_of_a_cancel(database, ask) -> None:
    kept, asked, lost = (ask() for _ in range(3))
    claim(database, kept.id, asked.id, lost.id)
    database.run_sync(tasks.cancel, asked.id, now=NOW + 1)
    steal = text("UPDATE tasks SET claimed_by = 'w2' WHERE id = :id")
    database.run_sync(lambda tx: tx.execute(steal, {"id": lost.id}) and None)
    beats = database.run_sync(
        queue.heartbeat, [kept.id, asked.id, lost.id], worker="w1", now=NOW + 20, lease_seconds=30.0
    )
    assert {(one.task_id, one.attempt, one.cancel_requested) for one in beats} == {
        (kept.id, 1, False),
        (asked.id, 1, True),
    }
    assert found(database, kept.id).lease_until == NOW + 50
    assert found(database, lost.id).lease_until == NOW + 30


def test_settling_writes_task_attempt_and_events_together(database, ask) -> None:
    (taken,) = claim(database, ask().id)
    usage = Usage(cost_usd=0.5, turns=3, input_tokens=10)
    ending = replace(done(taken), usage=usage, session_id="s", enforcement={"absent": True})
    assert settle(database, ending) == [ending]
    task = found(database, taken.task.id)
    assert (task.state, task.result, task.finished_at, task.failures) == (S.COMPLETED, "yes", NOW + 5, 1)
    assert task.claimed_by is task.lease_until is None
    (attempt,) = database.read_sync(attempts.of_task, task.id)
    assert (attempt.outcome, attempt.usage, attempt.enforcement) == ("completed", usage, {"absent": True})
    assert (attempt.ended_at, attempt.session_id) == (NOW + 5, "s")
    assert kinds(database, task.id)[-2:] == ["attempt.ended", "task.completed"]


def test_a_stale_worker_changes_nothing(database, ask) -> None:
    (old,) = claim(database, ask().id)
    database.run_sync(rescue.rescue_expired, Terms(now=NOW + 31, jitter=0.0))
    (new,) = claim(database, old.task.id, worker="w2", now=NOW + 32)
    before, known = found(database, old.task.id), kinds(database, old.task.id)
    assert settle(database, done(old), now=NOW + 40) == []
    assert settle(database, done(replace(old, attempt=2)), now=NOW + 40) == []
    assert (found(database, old.task.id), kinds(database, old.task.id)) == (before, known)
    assert settle(database, done(new), worker="w2", now=NOW + 41) != []


def test_settling_twice_records_once(database, ask) -> None:
    (taken,) = claim(database, ask().id)
    assert len(settle(database, done(taken))) == 1
    assert settle(database, done(taken)) == []
    assert kinds(database, taken.task.id).count("task.completed") == 1


def test_one_that_lost_its_lease_does_not_keep_the_others_from_being_recorded(database, ask) -> None:
    good, bad = claim(database, ask().id, ask().id)
    database.run_sync(
        lambda tx: tx.execute(text("UPDATE tasks SET attempt = 2 WHERE id = :i"), {"i": bad.task.id}) and None
    )
    assert [one.claim.task.id for one in settle(database, done(bad), done(good))] == [good.task.id]


def test_a_retry_waits_for_its_time_and_a_hold_for_its_recheck(database, ask) -> None:
    first, second = claim(database, ask().id, ask().id)
    settle(
        database,
        snoozed(first, run_at=NOW + 60),
        snoozed(second, used_attempt=False, hold="authentication", hold_until=NOW + 90),
    )
    assert found(database, first.task.id).failures == 1
    assert found(database, second.task.id).hold_message == "no"
    assert ids_of(database) == []
    assert due(database) == NOW + 60
    database.run_sync(queue.wake_due, now=NOW + 59)
    assert due(database) == NOW + 60
    database.run_sync(queue.wake_due, now=NOW + 61)
    assert due(database) == NOW + 90
    assert ids_of(database) == [first.task.id]
    database.run_sync(queue.wake_due, now=NOW + 91)
    assert due(database) is None
    assert ids_of(database) == [first.task.id, second.task.id]
    assert kinds(database, first.task.id)[-1] == "task.retry_scheduled"
    assert kinds(database, second.task.id)[-1] == "task.held"


def test_a_task_whose_time_comes_before_its_dependencies_goes_on_waiting_for_them(database, ask) -> None:
    first = ask()
    task = ask(depends_on=(first.id,), run_at=NOW + 10)
    database.run_sync(queue.wake_due, now=NOW + 11)
    assert (found(database, task.id).state, found(database, task.id).run_at) == (S.DEFINED, None)
    settle(database, done(*claim(database, first.id)))
    assert found(database, task.id).state is S.READY


def test_a_cancel_asked_for_meanwhile_wins_over_a_retry_but_not_over_a_result(database, ask) -> None:
    first, second = claim(database, ask().id, ask().id)
    for one in (first, second):
        database.run_sync(tasks.cancel, one.task.id, now=NOW + 1)
    settle(database, snoozed(first, run_at=NOW + 60), done(second))
    assert found(database, first.task.id).state is S.CANCELLED
    assert found(database, second.task.id).state is S.COMPLETED


def test_two_dependencies_that_complete_at_once_make_the_dependant_ready(database, ask, open_again) -> None:
    for _ in range(5):
        needs = claim(database, ask().id, ask().id)
        waits = ask(depends_on=tuple(one.task.id for one in needs))
        with ThreadPoolExecutor(2) as threads:
            ends = [
                threads.submit(open_again().run_sync, settling.settle, [done(one)], worker="w1", now=NOW + 5)
                for one in needs
            ]
            assert all(one.result() for one in ends)
        assert found(database, waits.id).state is S.READY


def test_only_what_was_never_begun_can_be_given_back(database, ask) -> None:
    unused, begun = claim(database, ask().id, ask().id)
    database.run_sync(_begin, begun)
    assert database.run_sync(queue.release, [unused, begun], now=NOW + 1) == 1
    assert found(database, unused.task.id) == lifecycle.release(unused.task, now=NOW + 1)
    assert database.read_sync(attempts.of_task, unused.task.id) == []
    assert found(database, begun.task.id).state is S.IN_PROGRESS


def _begin(tx: Transaction, claimed: Claim) -> None:
    change = text("UPDATE tasks SET state = 'IN_PROGRESS' WHERE id = :id")
    tx.execute(change, {"id": claimed.task.id})


def test_rescue_takes_back_only_what_has_run_out(database, ask) -> None:
    (old,) = claim(database, ask().id)
    (young,) = claim(database, ask().id, now=NOW + 20)
    (rescued,) = database.run_sync(rescue.rescue_expired, Terms(now=NOW + 31, jitter=0.0))
    assert (rescued.task_id, rescued.attempt, rescued.worker) == (old.task.id, 1, "w1")
    assert found(database, young.task.id).claimed_by == "w1"
    task = found(database, old.task.id)
    assert (task.state, task.failures, task.run_at, task.attempt) == (S.READY, 0, None, 1)
    (attempt,) = database.read_sync(attempts.of_task, task.id)
    assert (attempt.outcome, attempt.ended_at) == ("lost", NOW + 31)
    assert kinds(database, task.id)[-2:] == ["attempt.ended", "task.rescued"]


def test_losses_in_a_row_are_counted_and_one_that_ended_otherwise_forgives_them(database, ask) -> None:
    task = ask()
    times = iter(range(1000, 100_000, 1000))
    for _ in range(lifecycle.MAX_LOSSES - 1):
        assert lose(database, task.id, at=NOW + next(times)) is S.READY
    at = NOW + next(times) * 10
    database.run_sync(queue.wake_due, now=at)
    (taken,) = claim(database, task.id, now=at)
    settle(database, snoozed(taken), now=at)
    states = [lose(database, task.id, at=NOW + next(times)) for _ in range(lifecycle.MAX_LOSSES)]
    assert states[-1] is S.BLOCKED
    assert kinds(database, task.id)[-1] == "task.blocked"


def lose(database: Database, task_id: str, *, at: float) -> S:
    """The task's next attempt is lost with its worker; answers with where the task is then."""
    database.run_sync(queue.wake_due, now=at)
    claim(database, task_id, now=at)
    database.run_sync(rescue.rescue_expired, Terms(now=at + 31, jitter=0.0))
    return found(database, task_id).state


def test_a_task_that_a_person_tries_again_may_be_lost_as_often_as_a_new_one(database, ask) -> None:
    task = ask()
    at = NOW
    for _ in range(2):
        states = [lose(database, task.id, at=(at := at + 1000)) for _ in range(lifecycle.MAX_LOSSES)]
        assert states == [S.READY] * (lifecycle.MAX_LOSSES - 1) + [S.BLOCKED]
        database.run_sync(tasks.retry, task.id, now=at + 100)
    lose(database, task.id, at=at + 1000)
    database.run_sync(tasks.cancel, task.id, now=at + 1100)
    database.run_sync(tasks.retry, task.id, now=at + 1200)
    assert lose(database, task.id, at=at + 5000) is S.READY
    assert lose(database, task.id, at=at + 9000) is S.READY


def test_a_lost_attempts_session_goes_on_and_what_still_has_processes_is_left_for_later(
    database, ask
) -> None:
    (lost,) = claim(database, ask().id)
    (busy,) = claim(database, ask().id)
    under = Snapshot(profile_id="p", tier="system", effective={})
    database.run_sync(attempts.begin, lost, under, now=NOW, session_id="a-session")
    terms = Terms(now=NOW + 31, jitter=0.0, spared=frozenset({busy.task.id}))
    database.run_sync(rescue.rescue_expired, terms)
    assert (found(database, lost.task.id).state, found(database, lost.task.id).session_id) == (
        S.READY,
        "a-session",
    )
    assert found(database, busy.task.id).state is S.ASSIGNED


def test_a_dead_workers_claims_are_taken_back_without_waiting_for_their_leases(database, ask) -> None:
    (gone,) = claim(database, ask().id, worker="gone")
    (there,) = claim(database, ask().id, worker="there")
    database.run_sync(rescue.rescue_from, ["gone"], Terms(now=NOW + 1, jitter=0.0))
    assert found(database, gone.task.id).state is S.READY
    assert found(database, there.task.id).state is S.ASSIGNED


def test_the_load_of_a_project_is_what_runs_what_ended_lately_and_what_it_cost_today(database, ask) -> None:
    first, second = claim(database, ask().id, ask().id)
    settle(database, replace(done(first), usage=Usage(cost_usd=2.0)), now=NOW + 10)
    running = database.read_sync(load.running, now=NOW + 25)
    assert (running["acme"].count, running["acme"].seconds) == (1, 25.0)
    recent = database.read_sync(load.recent, now=NOW + 20, window_seconds=60.0)
    assert (recent["acme"].finished, recent["acme"].seconds) == (1, 10.0)
    ((whose, settled, spent),) = database.read_sync(spending.lately, since=NOW, cut=NOW + 5)
    assert (whose, settled, spent.usd) == ("acme", False, 2.0)
    later = database.read_sync(load.recent, now=NOW + 3600, window_seconds=60.0)
    assert "acme" not in later
    assert second.task.id


def test_a_directory_is_busy_while_an_attempt_of_any_project_works_in_it(database, ask, acme) -> None:
    here = replace(acme, checkout=CheckoutKind.DIRECTORY, repository="/srv/shop")
    database.run_sync(projects.update, here)
    (taken,) = claim(database, ask().id)
    assert database.read_sync(load.busy_directories) == {"/srv/shop"}
    settle(database, done(taken))
    assert database.read_sync(load.busy_directories) == frozenset()


@pytest.mark.parametrize("analysed", [False, True])
def test_a_backlog_is_not_read_to_take_the_next_task(sqlite_url, analysed) -> None:
    """Statistics must not talk SQLite out of the right index: its plans name it. PostgreSQL chooses by size,
    which the benchmark with a million tasks shows."""
    look, take = (
        waiting._look("sqlite", ""),
        queue._claim(queue.AMONG["sqlite"]).compile(dialect=sqlite.dialect()),
    )
    seeks = {
        look.replace(":most", "5"): "INDEX",
        str(take).replace(":ids", "'[]'").replace("?", "1"): "sqlite_autoindex_tasks_1",
    }
    with open_database(sqlite_url) as database:
        database.run_sync(_load, 3000)
        if analysed:
            database.run_sync(lambda tx: tx.execute(text("ANALYZE")) and None)
        for statement, index in seeks.items():
            plan = database.read_sync(_plan, statement)
            steps = [line for line in plan if " tasks" in line or " t " in line]
            assert steps
            assert all(index in line for line in steps), plan


def _load(tx: Transaction, count: int) -> None:
    projects.create(tx, Project(id="p", name="P", created_at=1, updated_at=1))
    tx.execute(
        text(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
            "INSERT INTO tasks (id, project_id, title, prompt, state, created_at, updated_at, priority) "
            "SELECT printf('t%06d', i), 'p', 'T', 'P', 'READY', 1, 1, 100 FROM n"
        ),
        {"count": count},
    )


def _plan(tx: Transaction, statement: str) -> list[str]:
    return [row[3] for row in tx.exec_driver_sql("EXPLAIN QUERY PLAN " + statement)]


async def _listen(database: Database, work: Callable[[], object]) -> bool:
    async with database.listener() as listener:
        await listener.wait(0.01)
        await asyncio.to_thread(work)
        return await listener.wait(2.0)


def test_a_rescue_wakes_the_workers(database, ask) -> None:
    claim(database, ask().id)
    assert asyncio.run(
        _listen(database, lambda: database.run_sync(rescue.rescue_expired, Terms(now=NOW + 31, jitter=0.0)))
    )
