"""Waking every loop that waits for a change in the database, whoever made the change."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from sqlalchemy import Connection

from orchestrator.store.outbox import Topic
from orchestrator.store.prepared import Prepared, Rows


class Listener:
    """A wait for the next change. A wake-up says "look again" and may come for nothing; whoever waits
    keeps a slow look of its own behind it, which is what the time limit is for."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, timeout: float) -> bool:
        """True when something changed since the last call; False after `timeout` seconds without."""
        try:
            async with asyncio.timeout(timeout):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True

    async def ask(self, _statement: Prepared, _values: Mapping[str, Any]) -> Rows | None:
        """What the statement answers with, as the driver gives it: asked on the connection that listens, in a
        transaction of its own that announces nothing. `None` where it cannot be asked so, or there was no
        answer: then it may have been carried out."""
        return None


class Bell(Protocol):
    """How one kind of database tells other processes."""

    def before_commit(self, tx: Connection, topics: frozenset[Topic]) -> None: ...

    def after_commit(self, topics: frozenset[Topic]) -> None:
        """Called after every commit, also with nothing to tell."""
        ...

    def listener(self, topic: Topic) -> AbstractAsyncContextManager[Listener]: ...
