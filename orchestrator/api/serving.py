"""The HTTP surface as a scope: it listens at once, and is loaded when somebody connects."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Final

import structlog

from orchestrator.api.address import Address, bind
from orchestrator.commands.use import Use

log = structlog.get_logger()

BACKLOG: Final = 128


@asynccontextmanager
async def serving(use: Use, address: Address, *, with_worker: bool = False) -> AsyncIterator[str]:
    """Yields the address that was bound. Raises ConfigurationError when it cannot be."""
    with contextlib.closing(bind(address.host, address.port, allow_remote=address.allow_remote)) as listener:
        listener.listen(BACKLOG)
        host = f"[{address.host}]" if ":" in address.host else address.host
        url = f"http://{host}:{listener.getsockname()[1]}"
        log.info("api.listening", url=url)
        answers = asyncio.create_task(_answer(use, address, listener, with_worker=with_worker), name="api")
        try:
            yield url
        finally:
            answers.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answers


async def _answer(use: Use, address: Address, listener: socket.socket, *, with_worker: bool) -> None:
    await _connected(listener)
    try:
        surface = await asyncio.to_thread(_load)
        async with surface.answering(use, address, listener, with_worker=with_worker):
            await asyncio.Event().wait()
    except Exception:  # the worker goes on without its surface
        log.exception("api.fault")


async def _connected(listener: socket.socket) -> None:
    """Returns once somebody waits to be accepted."""
    loop, somebody = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(listener, somebody.set)
    try:
        await somebody.wait()
    finally:
        loop.remove_reader(listener)


def _load() -> ModuleType:
    # Lazily, as the web server takes 7 MiB and many installations are never asked.
    from orchestrator.api import answering  # noqa: PLC0415 - loaded with the first connection

    return answering
