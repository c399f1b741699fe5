"""What a worker does about cancels, stops, lost leases and faults, with agents at work."""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from orchestrator.domain.ending import Ending
from orchestrator.domain.project import CheckoutKind
from orchestrator.domain.task import Claim, Settlement, TaskState
from orchestrator.store import queue, rescue, tasks, workers
from orchestrator.store.database import Transaction
from orchestrator.store.wake import Listener
from orchestrator.worker.leash import Leash

pytestmark = pytest.mark.anyio

S = TaskState
DONE = Settlement(state=S.COMPLETED, outcome="completed", message="done", used_attempt=True)


def agents_of(*task_ids: str) -> list[int]:
    """Processes that say of themselves that they belong to an attempt at one of these tasks."""
    found = []
    for process in psutil.process_iter():
        try:
            marker = process.environ().get("ORCHESTRATOR_ATTEMPT", "")
        except (psutil.Error, OSError):
            continue
        if marker.partition("/")[0] in task_ids and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def take_away(tx: Transaction, task_id: str) -> None:
    """What another worker does that rescued the task and claimed it again."""
    tx.execute(
        text(
            "UPDATE tasks SET claimed_by = 'another', attempt = attempt + 1, lease_until = 9e9 WHERE id = :id"
        ),
        {"id": task_id},
    )
    tx.execute(
        text("UPDATE attempts SET ended_at = 1, outcome = 'lost' WHERE task_id = :id AND number = 1"),
        {"id": task_id},
    )


async def test_a_running_task_is_cancelled_within_moments_and_its_agent_is_gone(lab, tmp_path) -> None:
    task_id = lab.ask(f"touch={tmp_path / 'started'};hang")
    async with lab.working():
        await lab.until((tmp_path / "started").exists)
        await lab.database.run(tasks.cancel, task_id, now=time.time())
        await lab.until(lambda: lab.task(task_id).state is S.CANCELLED)
        assert agents_of(task_id) == []
    assert lab.attempts(task_id)[0].outcome == "cancelled"
    assert [event.kind for event in lab.events(task_id)].count("task.cancelled") == 1


async def test_a_cancel_that_comes_before_the_start_starts_nothing(sqlite_lab, tmp_path) -> None:
    task_id = sqlite_lab.ask(f"touch={tmp_path / 'started'}")
    await sqlite_lab.database.run(tasks.cancel, task_id, now=time.time())
    other = sqlite_lab.ask()
    async with sqlite_lab.working():
        await sqlite_lab.until(lambda: sqlite_lab.task(other).state is S.COMPLETED)
    assert not (tmp_path / "started").exists()


async def test_a_stop_lets_what_runs_finish_within_its_grace(lab, tmp_path) -> None:
    first = lab.ask(f"touch={tmp_path / 'started'};wait_for={tmp_path / 'go'};result=in time")
    async with lab.working(slots=1, drain_seconds=20) as stop:
        await lab.until((tmp_path / "started").exists)
        second = lab.ask()
        stop.set()
        (tmp_path / "go").touch()
    assert (lab.task(first).state, lab.task(first).result) == (S.COMPLETED, "in time")
    assert (lab.task(second).state, lab.task(second).attempt) == (S.READY, 0)


async def test_after_its_grace_an_attempt_is_put_off_and_uses_none_up(lab, tmp_path) -> None:
    task_id = lab.ask(f"touch={tmp_path / 'started'};hang")
    async with lab.working(drain_seconds=0.1) as stop:
        await lab.until((tmp_path / "started").exists)
        stop.set()
    task = lab.task(task_id)
    assert (task.state, task.failures, task.attempt, task.run_at) == (S.READY, 0, 1, None)
    assert lab.attempts(task_id)[0].outcome == "interrupted"
    assert agents_of(task_id) == []


async def test_a_second_stop_ends_everything_now_and_loses_nothing(lab, tmp_path) -> None:
    task_id = lab.ask(f"touch={tmp_path / 'started'};ignore_term;ignore_interrupt;deaf;say=x")
    async with lab.working(drain_seconds=600) as stop:
        await lab.until((tmp_path / "started").exists)
        stop.set()
        stop.set()
    assert (lab.task(task_id).state, lab.attempts(task_id)[0].outcome) == (S.READY, "interrupted")
    assert agents_of(task_id) == []


async def test_a_stale_worker_ends_its_agent_and_changes_nothing(lab, tmp_path) -> None:
    task_id = lab.ask(f"touch={tmp_path / 'started'};hang")
    worker = lab.worker()
    async with lab.working(worker):
        await lab.until((tmp_path / "started").exists)
        await lab.database.run(take_away, task_id)
        before = lab.task(task_id)
        known = len(lab.events(task_id))
        await lab.until(lambda: not agents_of(task_id))
        await worker.run_once()
        assert lab.task(task_id) == before
        assert len(lab.events(task_id)) == known
    assert lab.task(task_id) == before
    assert lab.attempts(task_id)[0].outcome == "lost"


async def test_a_result_that_comes_after_the_lease_was_lost_is_dropped(lab) -> None:
    task_id = lab.ask()
    claimed, go = asyncio.Event(), asyncio.Event()

    async def slow(claim: Claim, leash: Leash) -> Ending:
        claimed.set()
        await go.wait()
        return Ending(claim=claim, settlement=DONE)

    async with lab.working(execute=slow, heartbeat_seconds=1.5):
        await claimed.wait()
        await lab.database.run(take_away, task_id)
        before = lab.task(task_id)
        go.set()
        other = lab.ask()
        await lab.until(lambda: lab.task(other).state is S.COMPLETED)
    assert lab.task(task_id) == before
    assert lab.events(task_id, "task.completed") == []


async def test_once_nothing_waits_for_its_time_a_worker_sleeps_as_long_as_it_may(
    sqlite_lab, monkeypatch
) -> None:
    lab, wait = sqlite_lab, Listener.wait
    sleeps: asyncio.Queue[float] = asyncio.Queue()

    async def told(listener: Listener, timeout: float) -> bool:
        sleeps.put_nowait(timeout)
        return await wait(listener, timeout)

    async def at_once(claim: Claim, _leash: Leash) -> Ending:
        return Ending(claim=claim, settlement=DONE)

    monkeypatch.setattr(Listener, "wait", told)
    task_id = lab.ask(run_at=time.time() + 0.2)
    async with lab.working(execute=at_once, poll_seconds=9.0):
        while await sleeps.get() > 0.2:
            pass
        await lab.until(lambda: lab.task(task_id).state is S.COMPLETED)
        while await sleeps.get() != 9.0:
            pass


async def test_a_fault_of_ours_fails_one_attempt_and_no_other(sqlite_lab) -> None:
    lab = sqlite_lab
    bad, good = lab.ask(max_attempts=1), lab.ask()

    async def execute(claim: Claim, leash: Leash) -> Ending:
        if claim.task.id == bad:
            raise ZeroDivisionError("a bug")
        return Ending(claim=claim, settlement=DONE)

    async with lab.working(execute=execute):
        await lab.until(lambda: lab.task(bad).state is S.FAILED and lab.task(good).state is S.COMPLETED)
    assert "ZeroDivisionError" in (lab.task(bad).result or "")


async def test_a_failed_attempt_is_tried_again_after_its_backoff_with_a_note(sqlite_lab, tmp_path) -> None:
    lab = sqlite_lab
    task_id = lab.ask("crash=3")
    async with lab.working():
        await lab.until(lambda: lab.recorded(task_id))
        task = lab.task(task_id)
        assert (task.state, task.failures) == (S.READY, 1)
        assert task.run_at is not None
        assert 4 < task.run_at - time.time() < 11
        again = text("UPDATE tasks SET run_at = 1, prompt = :prompt")
        prompt = f"FAKE[dump={tmp_path / 'seen'}]"
        await lab.database.run(lambda tx: tx.execute(again, {"prompt": prompt}) and None)
        await lab.until(lambda: lab.task(task_id).state is S.COMPLETED)
    assert "Attempt 1 ended: crashed" in (tmp_path / "seen").read_text(encoding="utf-8")


async def test_wrong_credentials_hold_the_queue_and_use_no_attempt(sqlite_lab) -> None:
    lab = sqlite_lab
    ids = [lab.ask("api_error=401") for _ in range(6)]
    async with lab.working(slots=1):
        await lab.until(lambda: lab.recorded(ids[0]))
        await asyncio.sleep(0)
    first = lab.task(ids[0])
    assert (first.state, first.hold, first.failures) == (S.READY, "authentication", 0)
    tried = [task_id for task_id in ids if lab.attempts(task_id)]
    assert tried == ids[:1], "one refusal speaks for all"


async def test_a_directory_takes_one_attempt_at_a_time(sqlite_lab, tmp_path) -> None:
    lab = sqlite_lab
    place = tmp_path / "shop"
    place.mkdir()
    lab.project("shop", checkout=CheckoutKind.DIRECTORY, repository=str(place))
    lab.project("annex", checkout=CheckoutKind.DIRECTORY, repository=str(place))
    script = f"touch={place}/%s;wait_for={tmp_path / 'go'}"
    ids = [lab.ask(script % n, project=project) for n, project in enumerate(("shop", "shop", "annex"))]
    other = lab.ask()
    async with lab.working(slots=4):
        await lab.until(lambda: lab.task(other).state is S.COMPLETED)
        await lab.until(lambda: any(place.iterdir()))
        assert Counter(lab.task(one).state for one in ids)[S.READY] == 2
        (tmp_path / "go").touch()
        await lab.until(lambda: all(lab.task(one).state is S.COMPLETED for one in ids))
    assert {path.name for path in place.iterdir()} == {"0", "1", "2"}


async def test_a_projects_limit_holds_across_two_workers(lab) -> None:
    lab.project(max_concurrent=2)
    ids = [lab.ask() for _ in range(24)]
    now_running, most = 0, 0

    async def execute(claim: Claim, leash: Leash) -> Ending:
        nonlocal now_running, most
        now_running += 1
        most = max(most, now_running)
        await asyncio.sleep(0.005)
        now_running -= 1
        return Ending(claim=claim, settlement=DONE)

    async with lab.working(execute=execute, slots=8), lab.working(execute=execute, slots=8):
        await lab.until(lambda: all(lab.task(one).state is S.COMPLETED for one in ids))
    assert most == 2


async def test_two_workers_run_every_task_exactly_once(lab) -> None:
    ids = [lab.ask() for _ in range(60)]
    runs: Counter[str] = Counter()

    async def execute(claim: Claim, leash: Leash) -> Ending:
        runs[claim.task.id] += 1
        return Ending(claim=claim, settlement=DONE)

    async with lab.working(execute=execute, slots=3), lab.working(execute=execute, slots=3):
        await lab.until(lambda: all(lab.task(one).state is S.COMPLETED for one in ids))
    assert runs == Counter(ids)


async def test_a_finished_dependency_starts_what_waited_for_it(lab) -> None:
    first = lab.ask()
    second = lab.ask(depends_on=(first,))
    broken = lab.ask("error=error_max_turns")
    never = lab.ask(depends_on=(broken,))
    async with lab.working():
        await lab.until(lambda: lab.task(second).state is S.COMPLETED)
        await lab.until(lambda: lab.task(never).state is S.BLOCKED)
    assert broken in (lab.task(never).result or "")


async def test_an_interrupted_session_goes_on_where_it_stopped(sqlite_lab, tmp_path) -> None:
    lab = sqlite_lab
    task_id = lab.ask(f"touch={tmp_path / 'started'};hang")
    async with lab.working(drain_seconds=0.1) as stop:
        await lab.until((tmp_path / "started").exists)
        session = "11111111-2222-4333-8444-555555555555"
        transcript = lab.home / "attempts" / task_id / "1" / "claude" / "projects" / "x" / f"{session}.jsonl"
        transcript.parent.mkdir(parents=True)
        transcript.write_text('{"type":"assistant"}\n', encoding="utf-8")
        stop.set()
    change = text("UPDATE tasks SET session_id = :session, prompt = 'x'")
    await lab.database.run(lambda tx: tx.execute(change, {"session": session}) and None)
    Path(lab.home / "checkouts" / task_id / ".fake-agent").write_text(f"dump={tmp_path / 'seen'}")
    async with lab.working():
        await lab.until(lambda: lab.task(task_id).state is S.COMPLETED)
    seen = (tmp_path / "seen").read_text(encoding="utf-8")
    assert f"{session}.jsonl" in seen
    assert "this is the same session" in seen


def test_a_lease_shorter_than_two_heartbeats_is_refused(sqlite_lab) -> None:
    with pytest.raises(ValueError, match="twice heartbeat_seconds"):
        sqlite_lab.worker(lease_seconds=1, heartbeat_seconds=0.9)


async def test_what_an_earlier_attempt_left_running_here_is_ended_before_the_next_begins(
    lab, tmp_path
) -> None:
    """Another host took the task back, where nobody could see what still runs here."""
    task_id = lab.ask(f"touch={tmp_path / 'started'}")
    left = await asyncio.create_subprocess_exec(
        "/bin/sleep", "600", env={"ORCHESTRATOR_ATTEMPT": f"{task_id}/1"}, start_new_session=True
    )

    def lose(tx: Transaction) -> None:
        queue.claim(tx, [task_id], worker="elsewhere", now=1.0, lease_seconds=1.0)
        rescue.rescue_from(tx, ["elsewhere"], rescue.Terms(now=queue.clock(tx), jitter=0.0))

    await lab.database.run(lose)
    async with lab.working():
        await lab.until((tmp_path / "started").exists)
        assert await left.wait() == -9
        await lab.until(lambda: lab.task(task_id).state is S.COMPLETED)


async def test_a_worker_that_comes_back_takes_over_at_once_from_its_dead_self(lab) -> None:
    """No waiting for the lease: the process that held it is known to be gone."""
    task_id = lab.ask()

    def leave_behind(tx: Transaction) -> None:
        gone = lab.worker()._row()
        now = queue.clock(tx)
        workers.register(tx, replace(gone, id="gone", pid=2**22 - 1))
        queue.claim(tx, [task_id], worker="gone", now=now, lease_seconds=3600)

    await lab.database.run(leave_behind)
    async with lab.working():
        await lab.until(lambda: lab.task(task_id).state is S.COMPLETED)
    assert [one.outcome for one in lab.attempts(task_id)] == ["lost", "completed"]
    assert lab.task(task_id).failures == 1


@pytest.mark.parametrize("other", ["boot", "namespace"])
async def test_what_a_worker_of_a_host_by_the_same_name_holds_is_left_to_its_lease(lab, other) -> None:
    """Its number says nothing here: it may be at work in another container, or on another machine."""
    held = lab.ask()

    def begin(tx: Transaction) -> None:
        row = lab.worker()._row()
        workers.register(
            tx, replace(row, id="there", pid=2**22 - 1, details={**row.details, other: "another"})
        )
        queue.claim(tx, [held], worker="there", now=queue.clock(tx), lease_seconds=3600)

    await lab.database.run(begin)
    async with lab.working():
        task_id = lab.ask()
        await lab.until(lambda: lab.task(task_id).state is S.COMPLETED)
    assert (lab.task(held).state, lab.task(held).claimed_by) == (S.ASSIGNED, "there")


async def test_a_worker_that_was_taken_for_gone_says_that_it_is_not(lab) -> None:
    worker = lab.worker()

    def listed() -> bool:
        return any(row.id == worker.id for row in lab.database.read_sync(workers.list_workers))

    async with lab.working(worker):
        await lab.until(listed)
        await lab.database.run(workers.leave, worker.id)
        assert not listed()
        await lab.until(listed)
