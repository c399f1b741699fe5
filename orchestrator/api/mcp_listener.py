"""Where agents of this process reach our MCP server: nowhere, until the first of them needs it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from orchestrator.commands.use import Use

log = structlog.get_logger()


@asynccontextmanager
async def on_demand(use: Use) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """The address of our MCP server, for as long as the scope lasts: nothing listens before it is asked for.
    Only tokens of attempts that go on are answered. Asking raises ConfigurationError when there
    is no port."""
    starting = asyncio.Lock()
    known: list[str] = []

    async with AsyncExitStack() as stack:

        async def address() -> str:
            async with starting:
                if not known:
                    # Lazily, as web server and commands take memory that most workers do not need.
                    from orchestrator.api import mcp_loopback  # noqa: PLC0415 - loaded on first need

                    known.append(await stack.enter_async_context(mcp_loopback.listening(use)))
                    log.info("mcp.listening", url=known[0])
            return known[0]

        yield address
