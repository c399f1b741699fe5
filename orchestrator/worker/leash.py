"""What the outside may want of a running attempt: that it stops, and as what."""

import asyncio
from collections.abc import Awaitable, Callable

from orchestrator.domain.outcome import Cancelled, Interrupted

Ask = Callable[[Interrupted | Cancelled], Awaitable[None]]


class Leash:
    """Held by the worker, followed by the attempt's body.

    `ask` is polite: the body hears it, stops the agent and reports the outcome asked for. A body whose lease
    is `lost` is cancelled, and whatever it comes to is dropped.
    """

    def __init__(self) -> None:
        self.wanted: Interrupted | Cancelled | None = None
        self.lost = False
        self._asked = asyncio.Event()

    def ask(self, outcome: Interrupted | Cancelled) -> None:
        """The first wish stands, but a cancel replaces an interruption: the task must not come back."""
        if self.wanted is None or isinstance(outcome, Cancelled):
            self.wanted = outcome
        self._asked.set()

    async def follow(self, ask: Ask) -> None:
        """Wait for a wish, for as long as it takes, and pass it on."""
        await self._asked.wait()
        if self.wanted is not None:
            await ask(self.wanted)
