"""A listener on loopback with the MCP door and nothing else."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakSet

from starlette.applications import Starlette
from starlette.routing import Route
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from orchestrator.api.mcp import PATH, McpDoor
from orchestrator.commands import calls
from orchestrator.commands.use import Use
from orchestrator.domain.token import digest_of

LOOPBACK: Final = "127.0.0.1"
ENDING_SECONDS: Final = 5.0
"""What requests under way get to finish in."""


@asynccontextmanager
async def listening(use: Use) -> AsyncIterator[str]:
    """The address, on a free port, while the scope lasts. Only tokens of attempts that go on are answered.
    Raises OSError."""

    async def identify(token: str) -> Use | None:
        return await calls.as_agent(use, digest_of(token))

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
