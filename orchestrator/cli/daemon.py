"""What the commands that stay until they are told to stop have in common."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from orchestrator.api import mcp_listener
from orchestrator.app import App
from orchestrator.cli.session import use_of
from orchestrator.worker.embedded import Address


def door(running: App) -> AbstractAsyncContextManager[Address]:
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
