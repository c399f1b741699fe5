"""What the commands that stay until they are told to stop have in common."""

import gc
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from pathlib import Path

from orchestrator.api import mcp_listener
from orchestrator.api import serving as surface
from orchestrator.api.address import Address
from orchestrator.app import App
from orchestrator.cli.session import use_of
from orchestrator.commands.use import Use
from orchestrator.notify import notify
from orchestrator.settings import Settings
from orchestrator.worker import embedded


def door(running: App) -> AbstractAsyncContextManager[embedded.Address]:
    """The embedded MCP server, on loopback, from the first agent on that has a tool of ours."""
    return mcp_listener.on_demand(use_of(running))


@asynccontextmanager
async def rehearsal_at(script: Path | None) -> AsyncIterator[str]:
    """The stand-in for the model's service, with this script or the usual one. Yields its address."""
    # Lazily, as its web server takes 10 MiB and a worker that uses a model needs none.
    from orchestrator import rehearsal  # noqa: PLC0415 - loaded only for a rehearsal

    chosen = rehearsal.DEFAULT if script is None else rehearsal.load(script)
    async with rehearsal.serve(chosen) as server:
        yield server.url


def ready() -> None:
    """Say so to whoever started this. What is loaded by now stays, so that the garbage collector need not
    look at it ever again: that was a tenth of a busy worker's time."""
    gc.freeze()
    notify("READY=1")


def bound(loaded: Settings) -> AbstractContextManager[socket.socket]:
    """The address that the settings ask for, taken. Raises ConfigurationError."""
    return surface.bound(_address(loaded))


def serving(
    use: Use, loaded: Settings, listener: socket.socket, *, with_worker: bool
) -> AbstractAsyncContextManager[str]:
    """The HTTP surface as the settings ask for it, until the scope is left. Yields its address."""
    return surface.serving(use, _address(loaded), with_worker=with_worker, listener=listener)


def _address(loaded: Settings) -> Address:
    wanted, secret = loaded.api, loaded.vault.git.webhook_secret
    return Address(
        host=str(wanted.host),
        port=wanted.port,
        allowed_hosts=wanted.allowed_hosts,
        allow_remote=wanted.allow_remote,
        open_health=wanted.open_health,
        webhook_secret=None if secret is None else secret.get_secret_value(),
    )
