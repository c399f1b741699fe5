"""Waking: whoever commits a change wakes all who wait for it, and nothing else does for long."""

import asyncio
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import Connection, text

from orchestrator.domain.event import Event
from orchestrator.store import engines, events
from orchestrator.store.database import Database, open_database
from orchestrator.store.outbox import Topic, mark_changed
from orchestrator.store.wake import Listener
from orchestrator.store.wake_sqlite import POLL_SECONDS

pytestmark = pytest.mark.made_up_events

SOON = 30.0
FACT = Event(kind="task.created", subject="task/t", at=1.0)


async def settle(listener: Listener) -> None:
    """Until what happened before, the connecting included, has been heard."""
    while await listener.wait(0.1):
        pass


def bells(url: str) -> list[Path]:
    path = Path(engines.place(engines.parse(url)))
    return list(path.with_name(path.name + ".bells").iterdir())


def run(database: Database, body: Callable[[Listener], object], topic: Topic = Topic.QUEUE) -> None:
    async def main() -> None:
        async with database.listener(topic) as listener:
            await settle(listener)
            await body(listener)  # type: ignore[misc]

    asyncio.run(main())


def test_a_commit_wakes_who_waits_in_the_same_process(database: Database) -> None:
    async def body(listener: Listener) -> None:
        await database.run(mark_changed)
        assert await listener.wait(SOON)

    run(database, body)


MARK = """
import sys
from orchestrator.store.database import open_database
from orchestrator.store.outbox import mark_changed
with open_database(sys.argv[1]) as database:
    database.run_sync(mark_changed)
"""


def test_a_commit_in_another_process_wakes(database: Database, database_url: str) -> None:
    async def body(listener: Listener) -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", MARK, database_url)
        assert await listener.wait(30)
        assert await process.wait() == 0

    run(database, body)


def test_every_listener_is_woken(database: Database, open_again: Callable[[], Database]) -> None:
    other = open_again()

    async def body(listener: Listener) -> None:
        async with other.listener() as second, other.listener() as third:
            await settle(second)
            await settle(third)
            await settle(listener)
            await database.run(mark_changed)
            assert [await one.wait(SOON) for one in (listener, second, third)] == [True] * 3

    run(database, body)


def test_what_is_rolled_back_wakes_nobody(database: Database) -> None:
    def change_and_fail(tx: Connection) -> None:
        mark_changed(tx)
        raise LookupError

    async def body(listener: Listener) -> None:
        with pytest.raises(LookupError):
            await database.run(change_and_fail)
        assert not await listener.wait(POLL_SECONDS * 1.2)

    run(database, body)


def test_a_change_made_before_the_wait_is_not_missed(database: Database) -> None:
    async def body(listener: Listener) -> None:
        await database.run(mark_changed)
        await asyncio.sleep(0.1)
        assert await listener.wait(SOON)

    run(database, body)


def test_events_have_a_bell_of_their_own(database: Database) -> None:
    async def body(listener: Listener) -> None:
        await database.run(events.append, FACT)
        assert await listener.wait(SOON)

    run(database, body, Topic.EVENTS)


def test_what_goes_over_the_network_is_woken_by_a_wish_and_by_no_other_change(
    database: Database, open_again: Callable[[], Database]
) -> None:
    other = open_again()

    async def body(listener: Listener) -> None:
        await other.run(events.append, FACT)
        assert not await listener.wait(POLL_SECONDS * 1.2)
        await other.run(mark_changed, Topic.REMOTE)
        assert await listener.wait(SOON)

    run(database, body, Topic.REMOTE)


def test_a_wake_up_is_fast(database: Database) -> None:
    """Milliseconds on a quiet machine; the bound allows for one that is shared."""

    async def body(listener: Listener) -> None:
        delays = []
        for _ in range(30):
            await database.run(mark_changed)
            began = time.perf_counter()
            assert await listener.wait(SOON)
            delays.append(time.perf_counter() - began)
        assert sorted(delays)[len(delays) // 2] < 0.05

    run(database, body)


def test_waiting_costs_next_to_nothing(database: Database) -> None:
    async def body(listener: Listener) -> None:
        before = resource.getrusage(resource.RUSAGE_SELF)
        assert not await listener.wait(2.0)
        after = resource.getrusage(resource.RUSAGE_SELF)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        assert used / 2.0 < 0.01

    run(database, body)


def test_a_writer_that_knows_no_bell_is_noticed(sqlite_url: str) -> None:
    async def body(listener: Listener) -> None:
        with sqlite3.connect(engines.place(engines.parse(sqlite_url))) as stranger:
            stranger.execute("UPDATE projects SET weight = 2")
            stranger.execute(
                "INSERT INTO projects (id, name, created_at, updated_at) VALUES ('a', 'a', 1, 1)"
            )
        stranger.close()
        assert await listener.wait(SOON)

    with open_database(sqlite_url) as database:
        run(database, body)


LISTEN_AND_DIE = """
import asyncio, os, signal, sys
from orchestrator.store.database import open_database
async def main():
    async with open_database(sys.argv[1]).listener():
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def test_the_bell_of_a_killed_listener_is_removed(sqlite_url: str) -> None:
    subprocess.run([sys.executable, "-c", LISTEN_AND_DIE, sqlite_url], timeout=60, check=False)
    assert len(bells(sqlite_url)) == 1
    with open_database(sqlite_url) as database:
        database.run_sync(mark_changed)
    assert bells(sqlite_url) == []


def test_a_listener_takes_its_bell_along(sqlite_url: str) -> None:
    with open_database(sqlite_url) as database:

        async def body(listener: Listener) -> None:
            assert len(bells(sqlite_url)) == 1

        run(database, body)
    assert bells(sqlite_url) == []


def test_a_place_with_a_long_name_has_bells_too(tmp_path: Path) -> None:
    """Longer than any socket's address could be."""
    url = f"sqlite:///{tmp_path}/{'long' * 25}/{'er' * 50}/orchestrator.db"
    with open_database(url) as database:

        async def body(listener: Listener) -> None:
            assert len(bells(url)) == 1
            await database.run(mark_changed)
            assert await listener.wait(SOON)

        run(database, body)


@pytest.mark.postgres
def test_a_listener_that_was_cut_off_comes_back(postgres_url: str) -> None:
    async def body(listener: Listener) -> None:
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert await listener.wait(SOON)  # it cannot know what it missed
        await settle(listener)
        await database.run(mark_changed)
        assert await listener.wait(SOON)

    with open_database(postgres_url) as database:
        run(database, body)


@pytest.mark.postgres
def test_a_server_that_is_away_is_waited_for(postgres_server: Any) -> None:
    address = postgres_server.create()

    async def wait_beyond_it(database: Database) -> None:
        postgres_server.drop(address)
        async with database.listener() as listener:
            assert not await listener.wait(0.2)
            with psycopg.connect(postgres_server.uri, autocommit=True) as admin:
                admin.execute(f'CREATE DATABASE "{urlsplit(address).path[1:]}"')
            assert await listener.wait(SOON)

    with open_database(address) as database:
        asyncio.run(wait_beyond_it(database))
    postgres_server.drop(address)


def test_nothing_is_said_of_a_transaction_that_marked_nothing(database: Database) -> None:
    async def body(listener: Listener) -> None:
        await database.run(lambda tx: tx.execute(text("SELECT 1")))
        assert not await listener.wait(POLL_SECONDS * 1.2)

    run(database, body)


def test_what_this_process_does_unsaid_is_no_reason_to_wake_it(database: Database) -> None:
    """Or every heartbeat of an idle worker would make it look for work."""

    def beat(tx: Connection) -> None:
        tx.execute(text("CREATE TABLE beats (at INTEGER)"))

    async def body(listener: Listener) -> None:
        await database.run(beat)
        assert not await listener.wait(POLL_SECONDS * 2.5)

    run(database, body)
