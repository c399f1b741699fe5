"""A listener for the application, inside the loop that is there already."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakSet

import h11
from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from orchestrator.api.problems import CODES, Refused

ENDING_SECONDS: Final = 5.0
"""What requests under way get to finish in."""
MESSAGE_BYTES: Final = 1 << 16
"""Of a message that a WebSocket's client sends."""


class _Connection(H11Protocol):
    """One that answers what is no HTTP with a problem too."""

    def send_400_response(self, msg: str) -> None:
        answer = Refused(400, CODES[400], msg).response()
        headers = [*answer.raw_headers, (b"connection", b"close")]
        told = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (told, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


@asynccontextmanager
async def listening(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """Answer on the socket until the scope ends. Then nothing new is accepted, requests under way get
    `ENDING_SECONDS` to finish, and what is left is cut off."""
    # The protocol is used without uvicorn's own server: that one takes over the process's signals, and looks
    # ten times a second whether it should end.
    config = Config(
        app,
        log_config=None,
        lifespan="off",
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        ws_ping_interval=20.0,
        ws_per_message_deflate=False,
        proxy_headers=False,
        server_header=False,
    )
    config.load()
    state, connections = ServerState(), WeakSet[H11Protocol]()

    def connect() -> H11Protocol:
        connection = _Connection(config, state, {})
        connection.access_log = False
        connections.add(connection)
        return connection

    server = await asyncio.get_running_loop().create_server(connect, sock=listener)
    try:
        yield
    finally:
        server.close()
        for open_one in list(state.connections):
            with contextlib.suppress(OSError, RuntimeError):
                open_one.shutdown()
        if state.tasks:
            await asyncio.wait(list(state.tasks), timeout=ENDING_SECONDS)
        for connection in list(connections):
            if not connection.transport.is_closing():
                connection.transport.abort()
