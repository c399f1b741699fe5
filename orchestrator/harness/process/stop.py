"""Stopping: from a polite request to the certain end of a whole process tree, in bounded time."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import structlog

from orchestrator.harness.process.child import Child, Exit
from orchestrator.harness.process.isolation import Containment
from orchestrator.harness.process.leftovers import children_of, end_leftovers, kill_exactly

log = structlog.get_logger()
T = TypeVar("T")


class Rung(StrEnum):
    """What it took."""

    NOTHING = "nothing"
    """It had ended before."""

    END_OF_INPUT = "end-of-input"
    ASKED = "asked"
    TERMINATED = "terminated"
    KILLED = "killed"
    STUCK = "stuck"
    """It survived SIGKILL: the kernel holds it, for instance on a file system that does not answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grace:
    """How long each rung waits, in seconds. Seen with Claude Code: 0.2 to 1.6 for an interrupt, up to 1.7
    for SIGTERM."""

    end_of_input: float = 5.0
    asked: float = 2.0
    """For the interrupt to be carried out, and again for the agent to end after it."""

    terminated: float = 2.0
    killed: float = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    rung: Rung
    exit: Exit | None
    """None only when stuck."""

    seconds: float


Interrupt = Callable[[], Coroutine[Any, Any, object]]


async def stop(child: Child, *, interrupt: Interrupt | None = None, grace: Grace | None = None) -> Stopped:
    """End an agent that is at work: ask, wait, SIGTERM to the group, wait, kill everything.

    `interrupt` asks over the harness's own protocol; without one, SIGINT goes to the group. May be called
    again, and while another call is under way. Cancelling the caller does not stop the stopping: the
    cancellation is delivered after the end.

    The first process of a PID namespace is spared every signal it has no handler for, SIGKILL from outside
    excepted: an agent without handlers ends on the last rung.
    """
    grace = grace or Grace()
    return await shielded(_climb(child, _ask(child, interrupt, grace), grace))


async def finish(child: Child, *, grace: Grace | None = None) -> Stopped:
    """Let an agent go that has given its result: end of input, wait, and only then as `stop` without asking.

    An agent that is killed at once has not yet written its transcript to the disk.
    """
    grace = grace or Grace()
    return await shielded(_climb(child, _end_input(child, grace.end_of_input), grace))


async def kill(child: Child) -> Stopped:
    """End it now."""
    return await shielded(_climb(child, None, Grace(asked=0, terminated=0)))


async def shielded(work: Coroutine[Any, Any, T]) -> T:
    """Carry work to its end even when the caller is cancelled; the cancellation is raised afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()


async def _climb(child: Child, first: Coroutine[Any, Any, Rung] | None, grace: Grace) -> Stopped:
    began = time.monotonic()
    if child.exit is not None:
        rung = Rung.NOTHING
        if first is not None:
            first.close()
    else:
        rung = await _rungs(child, first, grace)
    await _after_the_supervisor(child)
    if rung in (Rung.TERMINATED, Rung.KILLED, Rung.STUCK):
        log.info("process.stopped", pid=child.pid, rung=rung)
    return Stopped(rung=rung, exit=child.exit, seconds=time.monotonic() - began)


async def _rungs(child: Child, first: Coroutine[Any, Any, Rung] | None, grace: Grace) -> Rung:
    if first is not None:
        rung = await first
        if child.exit is not None:
            return rung
    if grace.terminated > 0:
        child.signal_group(signal.SIGTERM)
        if await _ended(child, grace.terminated):
            return Rung.TERMINATED
    return await _kill(child, grace.killed)


async def _ask(child: Child, interrupt: Interrupt | None, grace: Grace) -> Rung:
    if interrupt is None:
        child.signal_group(signal.SIGINT)
        await _ended(child, grace.asked)
        return Rung.ASKED
    asking = asyncio.ensure_future(interrupt())
    ended = asyncio.ensure_future(child.wait())
    await asyncio.wait([asking, ended], timeout=grace.asked, return_when=asyncio.FIRST_COMPLETED)
    if asking.done() and not asking.cancelled() and (error := asking.exception()) is not None:
        log.warning("process.interrupt_failed", pid=child.pid, error=repr(error))
    asking.cancel()
    ended.cancel()
    await asyncio.wait([asking, ended], timeout=0.1)
    # An interrupted agent reports and then waits for its next message: the end of input lets it go.
    await _end_input(child, grace.asked)
    return Rung.ASKED


async def _end_input(child: Child, seconds: float) -> Rung:
    child.close_stdin()
    await _ended(child, seconds)
    return Rung.END_OF_INPUT


async def _kill(child: Child, seconds: float) -> Rung:
    """Kill the tree from within: the first process of a namespace takes all others along, and a supervisor
    kills its own; the wrapper then reaps it and ends. Only if that does not come about is everything killed
    from here."""
    inner = children_of(child.pid)
    if child.containment is Containment.SUPERVISOR:
        child.signal_outermost(signal.SIGUSR1)
    elif inner:
        for process in inner:
            kill_exactly(process)
    else:  # the wrapper is only just starting; whatever it becomes is in the group
        child.signal_group(signal.SIGKILL)
    if await _ended(child, seconds / 2):
        return Rung.KILLED
    await asyncio.to_thread(end_leftovers, [child.identity])
    child.signal_group(signal.SIGKILL)
    return Rung.KILLED if await _ended(child, seconds / 2) else Rung.STUCK


async def _after_the_supervisor(child: Child) -> None:
    """A supervisor that was itself killed leaves what it held."""
    killed = child.exit is not None and child.exit.signal == signal.SIGKILL
    if killed and child.containment is Containment.SUPERVISOR:
        await asyncio.to_thread(end_leftovers, [child.identity])


async def _ended(child: Child, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await child.wait()
    return child.exit is not None
