"""A listener on loopback for the agents of this process, started when the first of them needs it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from weakref import WeakSet

import structlog

from orchestrator.commands import calls
from orchestrator.commands.use import Use
from orchestrator.domain.token import digest_of

log = structlog.get_logger()

LOOPBACK: Final = "127.0.0.1"
ENDING_SECONDS: Final = 5.0


@asynccontextmanager
async def on_demand(use: Use) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """The address of our MCP server, for as long as the scope lasts: nothing listens before it is asked for.
    Only tokens of attempts that go on are answered."""
    starting = asyncio.Lock()
    known: list[str] = []

    async def identify(token: str) -> Use | None:
        return await calls.as_agent(use, digest_of(token))

    async with AsyncExitStack() as stack:

        async def address() -> str:
            async with starting:
                if not known:
                    known.append(await stack.enter_async_context(_listening(identify)))
                    log.info("mcp.listening", url=known[0])
            return known[0]

        yield address


@asynccontextmanager
async def _listening(identify: Callable[[str], Awaitable[Use | None]]) -> AsyncIterator[str]:
    # Lazily, as the web server takes memory that a worker without such agents does not need.
    from starlette.applications import Starlette  # noqa: PLC0415 - see above
    from starlette.routing import Route  # noqa: PLC0415 - see above
    from uvicorn import Config  # noqa: PLC0415 - see above
    from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415 - see above
    from uvicorn.server import ServerState  # noqa: PLC0415 - see above

    from orchestrator.api.mcp import PATH, McpDoor  # noqa: PLC0415 - see above

    listener = _bound()
    port = listener.getsockname()[1]
    door = McpDoor(identify, hosts=(f"{LOOPBACK}:{port}",))
    # The protocol is used without uvicorn's own server, which takes over the process's signals.
    web = Config(
        Starlette(routes=[Route(PATH, endpoint=door)]),
        log_config=None,
        lifespan="off",
        ws="none",
        proxy_headers=False,
    )
    web.load()
    state, connections = ServerState(), WeakSet[H11Protocol]()

    def connect() -> H11Protocol:
        connection = H11Protocol(web, state, {})
        connection.access_log = False
        connections.add(connection)
        return connection

    async with door.running():
        server = await asyncio.get_running_loop().create_server(connect, sock=listener)
        try:
            yield f"http://{LOOPBACK}:{port}{PATH}"
        finally:
            server.close()
            if state.tasks:
                await asyncio.wait(list(state.tasks), timeout=ENDING_SECONDS)
            for connection in list(connections):
                if not connection.transport.is_closing():
                    connection.transport.abort()


def _bound() -> socket.socket:
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it, an answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind((LOOPBACK, 0))
    listener.setblocking(False)
    return listener
