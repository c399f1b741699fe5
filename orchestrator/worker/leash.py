"""What the outside may want of a running attempt: that it stops, and as what."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from orchestrator.domain.outcome import Asked, Cancelled, Interrupted

Wish = Interrupted | Cancelled | Asked
Ask = Callable[[Wish], Awaitable[None]]


class Leash:
    """Held by the worker, followed by the attempt's body.

    `ask` is polite: the body hears it, stops the agent and reports the outcome asked for. A body whose lease
    is `lost` is cancelled, and whatever it comes to is dropped.
    """

    def __init__(self) -> None:
        self.wanted: Wish | None = None
        self.lost = False
        self._changed = asyncio.Event()

    def ask(self, outcome: Wish) -> None:
        """The first wish stands, but a cancel replaces an interruption: the task must not come back."""
        if self.wanted is None or (isinstance(outcome, Cancelled) and self.wanted != outcome):
            self.wanted = outcome
            self._changed.set()

    @asynccontextmanager
    async def held_by(self, ask: Ask) -> AsyncIterator[None]:
        """Pass every wish on to `ask` for as long as the scope lasts, those from before it too."""

        async def follow() -> None:
            while True:
                await self._changed.wait()
                self._changed.clear()
                if self.wanted is not None:
                    await ask(self.wanted)

        following = asyncio.create_task(follow())
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
