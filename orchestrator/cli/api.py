"""`orchestrator api`: the HTTP surface, alone or within `up`."""

import asyncio
import socket
import sys
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from typing import TYPE_CHECKING

from orchestrator import app, logs
from orchestrator.api import serving as surface
from orchestrator.api.address import Address
from orchestrator.cli import output, signals
from orchestrator.cli.options import current
from orchestrator.cli.session import settings, use_of
from orchestrator.commands.use import Use

if TYPE_CHECKING:
    from orchestrator.settings import Settings


def api() -> None:
    """Answer over HTTP without a worker; for a host that only takes requests, or beside workers elsewhere."""
    asyncio.run(_run(settings().settings))


def bound(loaded: "Settings") -> AbstractContextManager[socket.socket]:
    """The address that the settings ask for, taken. Raises ConfigurationError."""
    return surface.bound(_address(loaded))


def serving(
    use: Use, loaded: "Settings", listener: socket.socket, *, with_worker: bool
) -> AbstractAsyncContextManager[str]:
    """The HTTP surface as the settings ask for it, until the scope is left. Yields its address."""
    return surface.serving(use, _address(loaded), with_worker=with_worker, listener=listener)


def _address(loaded: "Settings") -> Address:
    wanted, secret = loaded.api, loaded.vault.git.webhook_secret
    return Address(
        host=str(wanted.host),
        port=wanted.port,
        allowed_hosts=wanted.allowed_hosts,
        allow_remote=wanted.allow_remote,
        open_health=wanted.open_health,
        webhook_secret=None if secret is None else secret.get_secret_value(),
    )


async def _run(loaded: "Settings") -> None:
    async with AsyncExitStack() as stack:
        stop = await stack.enter_async_context(signals.stopping())
        logs.configure(style=loaded.log.format, level=loaded.log.level, stream=sys.stderr)
        listener = stack.enter_context(bound(loaded))
        opened = await stack.enter_async_context(app.opened(loaded))
        address = await stack.enter_async_context(
            serving(use_of(opened), loaded, listener, with_worker=False)
        )
        if current().json:
            output.print_json({"api": address}, indent=None)
        else:
            output.console().print(
                output.text(f"answers programs on {address}/api/v1, with a token; Ctrl-C stops")
            )
        await stop.drain.wait()
