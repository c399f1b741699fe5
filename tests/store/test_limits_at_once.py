"""Limits and rate limits when several hosts speak at the same moment, which only PostgreSQL lets happen."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, text

from orchestrator.domain.limit import Limit, LimitScope
from orchestrator.domain.provider import Backoff
from orchestrator.store import backoffs, limits
from orchestrator.store.database import Database, open_database

pytestmark = pytest.mark.postgres

BOUND = 20.0
ANSWERED = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")


@pytest.fixture
def shared(postgres_url: str) -> Iterator[Database]:
    with open_database(postgres_url) as opened:
        yield opened


async def waits_for_a_lock(shared: Database) -> None:
    async with asyncio.timeout(BOUND):
        while not await shared.read(lambda tx: tx.execute(ANSWERED).scalar_one()):  # noqa: ASYNC110 - others tell nobody
            await asyncio.sleep(0)


def then(work: Callable[[Connection], object], done: threading.Event, go_on: threading.Event) -> Callable:
    """The work, and its transaction kept open until it may go on."""

    def both(tx: Connection) -> None:
        work(tx)
        done.set()
        assert go_on.wait(BOUND)

    return both


def test_a_rate_limit_that_two_hosts_hear_at_once_is_kept(shared: Database) -> None:
    told = [Backoff(reason="rate_limited", message="Later.", until=2e9 + n) for n in range(2)]
    done, go_on = threading.Event(), threading.Event()

    async def at_once() -> None:
        first = asyncio.create_task(
            shared.run(then(lambda tx: backoffs.store(tx, {"claude@0": told[0]}), done, go_on))
        )
        await asyncio.to_thread(done.wait, BOUND)
        second = asyncio.create_task(shared.run(backoffs.store, {"claude@0": told[1]}))
        await waits_for_a_lock(shared)
        go_on.set()
        await asyncio.gather(first, second)

    asyncio.run(at_once())
    assert shared.read_sync(backoffs.current, now=0.0) == {"claude@0": told[1]}


def test_who_waits_to_decide_by_a_limit_that_is_just_changed_holds_it_afterwards(shared: Database) -> None:
    """Or two of them would count at the same time, and both find room."""
    limit = Limit(scope=LimitScope.INSTANCE, max_concurrent=5)
    shared.run_sync(limits.put, limit, now=1.0)
    put, go_on, locked, end = (threading.Event() for _ in range(4))

    async def at_once() -> list[str]:
        change = then(lambda tx: limits.put(tx, limit, now=2.0), put, go_on)
        changing = asyncio.create_task(shared.run(change))
        await asyncio.to_thread(put.wait, BOUND)
        deciding = asyncio.create_task(shared.run(then(limits.lock, locked, end)))
        await waits_for_a_lock(shared)
        go_on.set()
        await asyncio.to_thread(locked.wait, BOUND)
        free = text("SELECT scope FROM limits FOR UPDATE SKIP LOCKED")
        found = await shared.run(lambda tx: list(tx.execute(free).scalars()))
        end.set()
        await asyncio.gather(changing, deciding)
        return found

    assert asyncio.run(at_once()) == []
