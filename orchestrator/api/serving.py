"""The HTTP surface as a scope: it listens at once, and is loaded when somebody connects."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import ModuleType
from typing import Final

import structlog

from orchestrator.api.address import Address, bind
from orchestrator.commands.use import Use

log = structlog.get_logger()

BACKLOG: Final = 128


@contextmanager
def bound(address: Address) -> Iterator[socket.socket]:
    """The address, taken; who connects waits until `serving` answers. Raises ConfigurationError when it
    cannot be had: so this comes before anything that a port in use should keep from beginning."""
    with contextlib.closing(bind(address.host, address.port, allow_remote=address.allow_remote)) as listener:
        listener.listen(BACKLOG)
        yield listener


@asynccontextmanager
async def serving(
    use: Use, address: Address, *, with_worker: bool = False, listener: socket.socket | None = None
) -> AsyncIterator[str]:
    """Yields the address that is listened on: that of `listener`, which is `bound`, or of one taken now.
    Raises ConfigurationError when it cannot be had."""
    with bound(address) if listener is None else contextlib.nullcontext(listener) as listener:
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
