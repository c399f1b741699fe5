"""Asked to stop: SIGINT and SIGTERM as an event."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def stopping() -> AsyncIterator[asyncio.Event]:
    """Set by the first SIGINT or SIGTERM; the second one then has its usual effect."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    asked = (signal.SIGINT, signal.SIGTERM)

    def first() -> None:
        stop.set()
        for number in asked:
            loop.remove_signal_handler(number)

    for number in asked:
        loop.add_signal_handler(number, first)
    try:
        yield stop
    finally:
        for number in asked:
            loop.remove_signal_handler(number)
