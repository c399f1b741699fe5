"""Events for many readers: one reader of the database in this process, a bounded queue for each of them."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import structlog

from orchestrator.commands.encoding import encode
from orchestrator.domain.cloud_event import Wanted, cloud_event, gap
from orchestrator.domain.errors import DatabaseUnavailable
from orchestrator.domain.event import StoredEvent
from orchestrator.store import events
from orchestrator.store.database import Database, Transaction
from orchestrator.store.outbox import Topic

log = structlog.get_logger()

QUEUE: Final = 1000
"""Events that wait for one reader; he who has more is dropped."""
SLOW_LOOK: Final = 5.0
"""Seconds between looks when nothing wakes us."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """An event as it is sent, rendered once for all."""

    id: int
    type: str
    text: str


class Dropped(Exception):
    """This reader was too slow; he resumes from the last id he saw."""


class Subscription:
    """One reader's view: what has passed since `last`, then what comes."""

    def __init__(self, hub: "Hub", wanted: Wanted, last: int) -> None:
        self.last = last
        """The id of the last event looked at, wanted or not: nothing up to it is ever told again."""
        self._hub = hub
        self._wanted = wanted
        self._queue: deque[Message] = deque()
        self._some = asyncio.Event()
        self._dropped = False
        self._ended = False
        self._live = False

    async def next(self) -> list[Message] | None:
        """What is new, as soon as there is something; `None` once the server stops.
        Raises Dropped when more than `QUEUE` events wait."""
        while not self._ended:
            found = self._take() if self._live else await self._catch_up()
            if found:
                return found
            if self._live:
                await self._some.wait()
        return None

    def offer(self, stored: StoredEvent, message: Message) -> bool:
        """Put it into the queue; False when this reader is dropped for it."""
        if stored.event not in self._wanted:
            return True
        if len(self._queue) >= QUEUE:
            self._queue.clear()
            self._dropped = True
        else:
            self._queue.append(message)
        self._some.set()
        return not self._dropped

    def end(self) -> None:
        self._ended = True
        self._some.set()

    async def _catch_up(self) -> list[Message]:
        """A page of what has passed. After the last page the queue goes on; it is joined before that page is
        read, so that nothing falls between."""
        self._hub.join(self)
        page, upto, first = await self._hub.read(self.last, self._wanted)
        if len(page) < events.PAGE:
            self._live = True
        else:
            self._hub.leave(self)
            self._queue.clear()
            self._dropped = False
        missing = [] if first is None else [rendered(gap(after=self.last, first=first, now=time.time()))]
        self.last = max(self.last, upto)
        return missing + [rendered(stored) for stored in page if stored.event in self._wanted]

    def _take(self) -> list[Message]:
        if self._dropped:
            raise Dropped
        self._some.clear()
        found = [message for message in self._queue if message.id > self.last]
        self._queue.clear()
        if found:
            self.last = found[-1].id
        return found


class Hub:
    """Reads the outbox while anybody is subscribed, and hands each event to those who want it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._readers: set[Subscription] = set()
        self._all: set[Subscription] = set()
        self._wanted = asyncio.Event()
        self._listening = asyncio.Event()
        self._stopping = False
        self._position: int | None = None

    @property
    def position(self) -> int | None:
        """The id of the last event that was handed out; `None` while nobody reads."""
        return self._position

    @property
    def subscribers(self) -> int:
        return len(self._all)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read for as long as the scope lasts; then every subscription ends."""
        reading = asyncio.create_task(self._read(), name="events")
        try:
            yield
        finally:
            self._stopping = True
            for one in self._all:
                one.end()
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
            self._listening.set()  # whoever still waits for it finds his subscription ended

    @asynccontextmanager
    async def subscribed(self, wanted: Wanted, *, after: int | None) -> AsyncIterator[Subscription]:
        """A reader's view from the event `after`, or from now on. Raises DatabaseUnavailable."""
        latest = await self._database.read(events.last_id)
        last = latest if after is None else min(after, latest)
        one = Subscription(self, wanted, last)
        self._all.add(one)
        if self._stopping:
            one.end()
        self._wanted.set()
        try:
            # From here on the one reader has a position: what comes after it goes through the queues.
            await self._listening.wait()
            yield one
        finally:
            self.leave(one)
            self._all.discard(one)
            if not self._all:
                self._wanted.clear()

    def join(self, one: Subscription) -> None:
        self._readers.add(one)

    def leave(self, one: Subscription) -> None:
        self._readers.discard(one)

    async def read(self, last: int, wanted: Wanted) -> tuple[list[StoredEvent], int, int | None]:
        """A page of what follows `last` in that project or task, the id that it reaches, and where events
        begin when some before that may be missing."""
        return await self._database.read(_page, last, wanted)

    async def _read(self) -> None:
        while True:
            await self._wanted.wait()
            try:
                await self._follow()
            except DatabaseUnavailable as error:
                log.warning("events.delayed", error=str(error))
                await asyncio.sleep(SLOW_LOOK)

    async def _follow(self) -> None:
        """From the latest event on, until nobody reads any more."""
        async with self._database.listener(Topic.EVENTS) as changes:
            if self._position is None:  # else the database was away, and readers wait for what came meanwhile
                self._position = await self._database.read(events.last_id)
            self._listening.set()
            while self._wanted.is_set():
                page = await self._database.read(events.after, self._position)
                for stored in page:
                    self._hand_out(stored)
                    self._position = stored.id
                if len(page) < events.PAGE:
                    await changes.wait(SLOW_LOOK)
        self._listening.clear()
        self._position = None

    def _hand_out(self, stored: StoredEvent) -> None:
        message = rendered(stored) if self._readers else None
        for one in list(self._readers):
            if message is not None and not one.offer(stored, message):
                self.leave(one)
                log.info("events.reader_dropped", after=one.last)


def rendered(stored: StoredEvent) -> Message:
    return Message(id=stored.id, type=stored.event.kind, text=json.dumps(encode(cloud_event(stored))))


def _page(tx: Transaction, last: int, wanted: Wanted) -> tuple[list[StoredEvent], int, int | None]:
    latest = events.last_id(tx)
    page = events.after(tx, last, project_id=wanted.project_id, task_id=wanted.task_id)
    return page, page[-1].id if len(page) == events.PAGE else latest, events.first_left(tx, last)
