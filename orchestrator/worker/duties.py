"""Doing a duty: for as long as this process holds its lease, as far as it can know."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from orchestrator.domain.errors import DatabaseUnavailable
from orchestrator.store import duties, queue
from orchestrator.store.database import Database, Transaction
from orchestrator.store.duties import Duty
from orchestrator.worker.clock import since_boot

log = structlog.get_logger()

LEASE_SECONDS: Final = 30.0
RENEWALS: Final = 3
"""How many times within one lease it is renewed, or asked for by those who wait."""
LEAVING_SECONDS: Final = 5.0

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds before something that failed is begun again: doubling, for what is wrong may stay wrong."""

Work = Callable[[Duty], Awaitable[None]]


async def kept_up(name: str, begin: Callable[[], Awaitable[None]], *, pause: float = FIRST_PAUSE) -> None:
    """Do it, and begin it again when it fails: what goes on beside the worker must not end it. Returns when
    it does."""
    loop = asyncio.get_running_loop()
    wait = pause
    while True:
        began = loop.time()
        try:
            return await begin()
        except Exception:  # whatever it is, agents are at work, and the next try may fare better
            wait = pause if loop.time() - began > LONGEST_PAUSE else min(2 * wait, LONGEST_PAUSE)
            log.exception("duty.failed", duty=name, again_in_seconds=wait)
        await asyncio.sleep(wait)


async def on_duty(
    database: Database,
    name: str,
    *,
    holder: str,
    work: Work,
    lease_seconds: float = LEASE_SECONDS,
    takes_over: bool = True,
    since_boot: Callable[[], float] = since_boot,
) -> None:
    """Do `work` whenever nobody else holds the duty, until it returns by itself or this is cancelled.

    `work` is cancelled when the duty is lost, or when the database has been away for the length of a lease;
    it begins again once the duty is ours again. What it writes is fenced by `duties.must_hold`: that a lease
    ran out while this machine was suspended is found only at the next renewal that is due. Two with the same
    `holder` count as one. Without `takes_over` it is left to whoever had it last. Raises what `work` raises.
    """
    while True:
        duty, until = await _wait_for(database, name, holder, lease_seconds, takes_over, since_boot)
        log.info("duty.taken", duty=name, fence=duty.fence)
        try:
            async with asyncio.timeout(until - since_boot()) as lease, asyncio.TaskGroup() as group:
                keeping = _keep(database, duty, lease, until, lease_seconds, since_boot)
                keeper = group.create_task(keeping)
                await work(duty)
                keeper.cancel()
            return
        except TimeoutError:
            if not lease.expired():
                raise
            log.warning("duty.lost", duty=name, fence=duty.fence)
        finally:
            await _leave(database, duty)


async def _wait_for(
    database: Database,
    name: str,
    holder: str,
    lease_seconds: float,
    takes_over: bool,
    since_boot: Callable[[], float],
) -> tuple[Duty, float]:
    """The duty, and when its lease is over: counted from before it was asked for."""
    while True:
        asked = since_boot()
        try:
            duty = await database.run(_take, name, holder, lease_seconds, takes_over)
        except DatabaseUnavailable as error:
            log.warning("duty.not_taken", duty=name, error=str(error))
            duty = None
        if duty is not None:
            return duty, asked + lease_seconds
        await asyncio.sleep(lease_seconds / RENEWALS)


async def _keep(
    database: Database,
    duty: Duty,
    lease: asyncio.Timeout,
    until: float,
    lease_seconds: float,
    since_boot: Callable[[], float],
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(lease_seconds / RENEWALS)
        asked = since_boot()
        try:  # what ran out in a suspension cannot be renewed, and the database may not be there to say so
            held = asked < until and await database.run(_renew, duty, lease_seconds)
        except DatabaseUnavailable as error:
            log.warning("duty.not_renewed", duty=duty.name, error=str(error))
            continue
        if lease.expired():
            return
        until = asked + lease_seconds if held else asked
        lease.reschedule(loop.time() + until - since_boot())


async def _leave(database: Database, duty: Duty) -> None:
    """Best effort: the lease runs out by itself."""
    with contextlib.suppress(DatabaseUnavailable, TimeoutError):
        async with asyncio.timeout(LEAVING_SECONDS):
            await database.run(duties.give_up, duty)


def _take(tx: Transaction, name: str, holder: str, lease_seconds: float, takes_over: bool) -> Duty | None:
    now = queue.clock(tx)
    return duties.take(tx, name, holder=holder, now=now, lease_seconds=lease_seconds, takes_over=takes_over)


def _renew(tx: Transaction, duty: Duty, lease_seconds: float) -> bool:
    return duties.renew(tx, duty, now=queue.clock(tx), lease_seconds=lease_seconds)
