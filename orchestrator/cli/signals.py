"""Asked to stop: SIGINT and SIGTERM as a wish, the second one as a more urgent wish."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orchestrator.worker.stop import Stop


@asynccontextmanager
async def stopping() -> AsyncIterator[Stop]:
    """Set by each SIGINT or SIGTERM; from the third one on, the signal has its usual effect."""
    stop = Stop()
    loop = asyncio.get_running_loop()
    asked = (signal.SIGINT, signal.SIGTERM)

    def heard() -> None:
        if stop.drain.is_set():
            for number in asked:
                loop.remove_signal_handler(number)
        stop.set()

    for number in asked:
        loop.add_signal_handler(number, heard)
    try:
        yield stop
    finally:
        for number in asked:
            loop.remove_signal_handler(number)
