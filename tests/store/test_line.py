"""Asking on the connection that listens: answers, refusals, and what happens when it is lost."""

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import pytest
from sqlalchemy import text

from orchestrator.store.database import Database, open_database
from orchestrator.store.outbox import mark_changed
from orchestrator.store.prepared import Prepared
from orchestrator.store.wake import Listener

pytestmark = pytest.mark.postgres

BOUND = 30.0


def statement(sql: str) -> Prepared:
    return Prepared({"postgresql": text(sql)})


ECHO = statement(
    "SELECT CAST(:text AS text), CAST(:number AS float8), CAST(:whole AS bigint), CAST(:truth AS boolean), "
    "CAST(:nothing AS text), '100%'"
)
OWN = statement("SELECT pg_backend_pid()")
SLEEP = statement("SELECT 1 FROM pg_sleep(CAST(:seconds AS float8))")
GIVEN = {"text": "50% $1 'é' \\", "number": 0.1, "whole": 1 << 40, "truth": True, "nothing": None}


def on_a_line(url: str, body: Callable[[Listener, Database], Awaitable[None]]) -> None:
    async def main() -> None:
        with open_database(url) as database:
            async with asyncio.timeout(2 * BOUND), database.listener() as listener:
                assert await listener.wait(BOUND)
                await body(listener, database)

    asyncio.run(main())


def test_an_answer_is_what_the_driver_would_give(postgres_url: str) -> None:
    async def body(listener: Listener, database: Database) -> None:
        expected = await database.run(ECHO.rows, GIVEN)
        assert expected == [(*GIVEN.values(), "100%")]
        for _ in range(3):
            assert await listener.ask(ECHO, GIVEN) == expected

    on_a_line(postgres_url, body)


def test_an_answer_of_no_rows_is_not_none(postgres_url: str) -> None:
    async def body(listener: Listener, _database: Database) -> None:
        assert await listener.ask(statement("SELECT 1 WHERE false"), {}) == []

    on_a_line(postgres_url, body)


def test_what_the_server_refuses_is_no_answer_and_the_next_question_has_one(postgres_url: str) -> None:
    async def body(listener: Listener, _database: Database) -> None:
        divide = statement("SELECT 1 / CAST(:by AS int)")
        assert await listener.ask(statement("SELECT nonsense"), {}) is None
        assert await listener.ask(divide, {"by": 0}) is None
        assert await listener.ask(divide, {"by": 1}) == [(1,)]

    on_a_line(postgres_url, body)


def test_more_than_the_network_takes_at_once_arrives_whole(postgres_url: str) -> None:
    long = "é" * 20_000_000

    async def body(listener: Listener, _database: Database) -> None:
        measured = statement("SELECT length(CAST(:text AS text)), CAST(:text AS text)")
        assert await listener.ask(measured, {"text": long}) == [(len(long), long)]

    on_a_line(postgres_url, body)


def test_it_hears_while_it_waits_for_an_answer(postgres_url: str) -> None:
    async def body(listener: Listener, database: Database) -> None:
        asked = asyncio.create_task(listener.ask(SLEEP, {"seconds": 1.0}))
        await asyncio.sleep(0)
        await database.run(mark_changed)
        assert await listener.wait(BOUND)
        assert await asked == [(1,)]

    on_a_line(postgres_url, body)


def test_what_is_announced_right_behind_an_answer_is_heard(postgres_url: str) -> None:
    async def body(listener: Listener, _database: Database) -> None:
        assert await listener.ask(OWN, {})
        asked = asyncio.create_task(listener.ask(OWN, {}))
        await asyncio.sleep(0)
        with psycopg.connect(postgres_url, autocommit=True) as other:  # nothing is read until both are there
            other.execute("SELECT pg_sleep(0.3)")
            other.execute("NOTIFY orchestrator_queue")
            other.execute("SELECT pg_sleep(0.3)")
        assert await asked
        assert await listener.wait(BOUND)

    on_a_line(postgres_url, body)


def test_a_second_question_meanwhile_is_not_asked(postgres_url: str) -> None:
    async def body(listener: Listener, _database: Database) -> None:
        asked = asyncio.create_task(listener.ask(SLEEP, {"seconds": 0.3}))
        await asyncio.sleep(0)
        assert await listener.ask(OWN, {}) is None
        assert await asked == [(1,)]
        assert await listener.ask(OWN, {}) is not None

    on_a_line(postgres_url, body)


def test_who_does_not_wait_for_an_answer_leaves_the_line_to_the_next(postgres_url: str) -> None:
    async def body(listener: Listener, _database: Database) -> None:
        asked = asyncio.create_task(listener.ask(SLEEP, {"seconds": 0.3}))
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        answers = []
        while not answers:  # it answers no other before the one nobody waits for
            answers = await listener.ask(statement("SELECT 7"), {}) or []
            await asyncio.sleep(0)
        assert answers == [(7,)]

    on_a_line(postgres_url, body)


def test_a_line_that_is_lost_answers_nothing_until_there_is_another(postgres_url: str) -> None:
    async def body(listener: Listener, _database: Database) -> None:
        ((pid,),) = await listener.ask(OWN, {}) or [(0,)]
        asked = asyncio.create_task(listener.ask(SLEEP, {"seconds": 60.0}))
        await asyncio.sleep(0)
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [pid])
        assert await asked is None
        assert await listener.wait(BOUND)  # something may have been missed
        ((after,),) = await listener.ask(OWN, {}) or [(0,)]
        assert after not in (0, pid)

    on_a_line(postgres_url, body)


def test_whoever_waits_when_the_listener_is_closed_gets_no_answer(postgres_url: str) -> None:
    async def main() -> None:
        with open_database(postgres_url) as database:
            async with asyncio.timeout(BOUND), database.listener() as listener:
                assert await listener.wait(BOUND)
                asked = asyncio.create_task(listener.ask(SLEEP, {"seconds": 60.0}))
                await asyncio.sleep(0)
            assert await asked is None
            assert await listener.ask(OWN, {}) is None

    asyncio.run(main())


def test_what_is_asked_is_planned_once_and_by_indexes(postgres_url: str) -> None:
    async def body(listener: Listener, _database: Database) -> None:
        names = "('plan_cache_mode', 'enable_seqscan', 'jit', 'lock_timeout', 'client_encoding')"
        settings = statement(f"SELECT name, setting FROM pg_settings WHERE name IN {names}")
        assert dict(await listener.ask(settings, {}) or []) == {
            "plan_cache_mode": "force_generic_plan",
            "enable_seqscan": "off",
            "jit": "off",
            "lock_timeout": "25000",
            "client_encoding": "UTF8",
        }

    on_a_line(postgres_url, body)
