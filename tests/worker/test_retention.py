"""Retention as a duty: in small steps, fenced, and by one process at a time."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from orchestrator.domain.errors import LeaseLost
from orchestrator.domain.event import Event
from orchestrator.domain.retention import DAY, Keep, Pace
from orchestrator.settings.schema import RetentionSettings
from orchestrator.store import duties, events, queue
from orchestrator.store.database import Database, open_database
from orchestrator.worker.retention import DUTY, Retention, keep_bounded

NOW = 1_800_000_000.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path / 'o.db'}") as opened:
        yield opened


def happen(tx: Connection, count: int) -> None:
    old = Event(kind="project.created", subject="project/x", at=NOW - 99 * DAY)
    events.append(tx, *[old] * count)


def left(database: Database) -> int:
    return database.read_sync(lambda tx: tx.execute(text("SELECT COUNT(*) FROM events")).scalar_one())


def test_the_settings_say_everything_that_can_be_kept_and_agree_on_the_defaults() -> None:
    settings = RetentionSettings().model_dump(exclude={"enabled", "interval_seconds"})
    assert Keep(**settings) == Keep()


def test_it_goes_on_in_steps_until_nothing_is_due_and_rests_between_them(database: Database) -> None:
    database.run_sync(happen, 3000)
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    retention = Retention(database=database, keep=Keep(), clock=lambda tx: NOW, pause=rest)
    assert asyncio.run(retention.sweep()) == {"events": 2999}
    assert len(rests) >= 2999 / Pace().most
    assert min(rests) > 0
    assert asyncio.run(retention.sweep()) == {}


def test_a_step_without_the_duty_changes_nothing(database: Database) -> None:
    database.run_sync(happen, 10)
    now = database.read_sync(queue.clock)
    duty = database.run_sync(duties.take, DUTY, holder="me", now=now, lease_seconds=60.0)
    database.run_sync(duties.release, "me")
    retention = Retention(database=database, keep=Keep(), clock=lambda tx: NOW)
    with pytest.raises(LeaseLost):
        asyncio.run(retention.sweep(duty))
    assert left(database) == 10


def test_the_one_who_holds_the_duty_sweeps_from_time_to_time(database: Database) -> None:
    async def work() -> None:
        stepped = asyncio.Event()

        async def step(_seconds: float) -> None:
            stepped.set()

        retention = Retention(database=database, keep=Keep(), clock=lambda tx: NOW, pause=step)
        keeping = asyncio.create_task(keep_bounded(retention, database, holder="me", seconds=0.01))
        async with asyncio.timeout(20):
            for _ in range(2):
                stepped.clear()
                await database.run(happen, 5)
                await stepped.wait()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(work())
    (held,) = database.read_sync(duties.list_duties)
    assert (held.name, held.holder, held.lease_until) == (DUTY, "me", 0.0)


@pytest.mark.postgres
def test_a_host_whose_clock_is_wrong_takes_nothing_away(postgres_url: str, monkeypatch) -> None:
    with open_database(postgres_url) as shared:
        now = shared.read_sync(queue.clock)
        new = Event(kind="project.created", subject="project/x", at=now)
        shared.run_sync(lambda tx: events.append(tx, *[new] * 10))
        monkeypatch.setattr(time, "time", lambda: now + 999 * DAY)
        assert asyncio.run(Retention(database=shared, keep=Keep()).sweep()) == {}
        assert left(shared) == 10
