"""Storing what an agent says: in batches, soon, and without losing any of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import structlog

from orchestrator.domain.attempt import AgentMessage
from orchestrator.domain.errors import DatabaseUnavailable

Store = Callable[[Sequence[AgentMessage], bool], Awaitable[None]]
"""Stores a batch; the flag says that it may be stored already, as the last try ended without an answer."""

RETRY_SECONDS = 1.0
"""While the database is away. The lease ends this: a worker that cannot extend it gives the attempt up."""

BEHIND = 20
"""Batches that may wait; beyond that the agent's output waits on our disk."""

log = structlog.get_logger()


class Recorder:
    def __init__(self, store: Store, *, seconds: float, most: int) -> None:
        self._store = store
        self._seconds = seconds
        self._most = most
        self._waiting: list[AgentMessage] = []
        self._some = asyncio.Event()
        self._full = asyncio.Event()
        self._closed = False
        self._storing = asyncio.Lock()

    async def take(self, message: AgentMessage) -> None:
        """Keep a message to be stored; waits only when storing has fallen far behind."""
        self._waiting.append(message)
        self._some.set()
        if len(self._waiting) >= self._most:
            self._full.set()
        if len(self._waiting) >= self._most * BEHIND:
            await self.flush()

    async def flush(self) -> None:
        """Store what waits. Tries for as long as the database is away; raises LeaseLost when the attempt is
        over for us."""
        async with self._storing:
            again = False
            while self._waiting:
                batch = self._waiting[: self._most]
                try:
                    await self._store(batch, again)
                except DatabaseUnavailable as error:
                    log.warning("messages.delayed", error=str(error), waiting=len(self._waiting))
                    await asyncio.sleep(RETRY_SECONDS)
                    again = True
                    continue
                again = False
                del self._waiting[: len(batch)]
            if not self._closed:
                self._some.clear()
                self._full.clear()

    def close(self) -> None:
        """Nothing more will come: `keep_storing` ends when everything is stored. It is not cancelled, since a
        cancelled transaction may have happened, and then a batch would be stored twice."""
        self._closed = True
        self._some.set()
        self._full.set()

    async def keep_storing(self) -> None:
        while not self._closed:
            await self._some.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._full.wait()
            await self.flush()


@asynccontextmanager
async def recording(store: Store, *, seconds: float, most: int) -> AsyncIterator[Recorder]:
    """A recorder that stores by itself; what is left is stored at the end, unless the scope is left by an
    error. Raises LeaseLost, from within the scope, as soon as storing finds the attempt over for us."""
    recorder = Recorder(store, seconds=seconds, most=most)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(recorder.keep_storing())
            yield recorder
            recorder.close()
    except BaseExceptionGroup as failed:
        # One thing went wrong; the group is only how it travelled.
        raise failed.exceptions[0] from None
