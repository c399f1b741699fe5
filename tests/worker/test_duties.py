"""Doing a duty: never two at once, and never without its lease."""

import asyncio

import pytest

from orchestrator.store import duties
from orchestrator.store.database import Database
from orchestrator.store.duties import Duty
from orchestrator.worker.duties import kept_up, on_duty

BOUND = 30.0


def test_when_one_leaves_the_next_goes_on(database: Database) -> None:
    async def scenario() -> None:
        here: list[str] = []
        began = {"a": asyncio.Event(), "b": asyncio.Event()}

        async def work(duty: Duty) -> None:
            here.append(duty.holder)
            began[duty.holder].set()
            assert len(here) == 1
            try:
                await asyncio.Event().wait()
            finally:
                here.remove(duty.holder)

        def start(holder: str) -> asyncio.Task[None]:
            return asyncio.create_task(
                on_duty(database, "vault", holder=holder, work=work, lease_seconds=1.5)
            )

        async with asyncio.timeout(BOUND):
            first = start("a")
            await began["a"].wait()
            second = start("b")
            await asyncio.sleep(0)
            first.cancel()
            await began["b"].wait()
            second.cancel()
            await asyncio.gather(first, second, return_exceptions=True)
        assert [duty.lease_until for duty in await database.read(duties.list_duties)] == [0.0]

    asyncio.run(scenario())


def test_whoever_loses_the_duty_stops_and_takes_it_again(database: Database) -> None:
    async def scenario() -> None:
        fences: list[int] = []
        stopped = asyncio.Event()

        async def work(duty: Duty) -> None:
            fences.append(duty.fence)
            if len(fences) == 2:
                return
            try:
                await database.run(duties.release, "a")
                await asyncio.Event().wait()
            finally:
                stopped.set()

        async with asyncio.timeout(BOUND):
            await on_duty(database, "vault", holder="a", work=work, lease_seconds=1.5)
        assert stopped.is_set()
        assert fences == [1, 2]

    asyncio.run(scenario())


def test_what_the_work_raises_is_not_taken_for_the_end_of_a_lease(database: Database) -> None:
    async def scenario() -> None:
        async def work(duty: Duty) -> None:
            raise TimeoutError("of its own")

        with pytest.raises(ExceptionGroup) as caught:
            await on_duty(database, "vault", holder="a", work=work)
        assert str(caught.value.exceptions[0]) == "of its own"

    asyncio.run(scenario())


def test_what_fails_beside_the_worker_is_begun_again_until_it_is_done() -> None:
    tries: list[int] = []

    async def work() -> None:
        tries.append(len(tries))
        if len(tries) < 3:
            raise RuntimeError("the driver said something new")

    async def scenario() -> None:
        async with asyncio.timeout(BOUND):
            await kept_up("retention", work, pause=0.001)

    asyncio.run(scenario())
    assert tries == [0, 1, 2]
