"""The wish that a worker stops: once to finish in peace, twice to end now."""

import asyncio


class Stop:
    """Set by a signal or by whoever runs the worker; waited for by the worker."""

    def __init__(self) -> None:
        self.drain = asyncio.Event()
        """No new work; what runs gets its grace and is then interrupted."""
        self.now = asyncio.Event()
        """What runs is ended at once."""

    def set(self) -> None:
        if self.drain.is_set():
            self.now.set()
        self.drain.set()
