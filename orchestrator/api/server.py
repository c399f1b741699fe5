"""A listener for the application, inside the loop that is there already."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakSet

from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from orchestrator.domain.errors import ConfigurationError

ENDING_SECONDS: Final = 5.0
"""What requests under way get to finish in."""
MESSAGE_BYTES: Final = 1 << 16
"""Of a message that a WebSocket's client sends."""


def bind(host: str, port: int, *, allow_remote: bool = False) -> socket.socket:
    """A socket at that address. Raises ConfigurationError where the port is taken or the address is not of
    this host, and for an address beyond loopback without `allow_remote`."""
    address = ipaddress.ip_address(host)
    if not address.is_loopback and not allow_remote:
        raise ConfigurationError(
            f"api.host is {host}, which others can reach; set api.allow_remote to true if that is what you "
            "want, and put TLS before it",
            field="api.host",
        )
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it, an answer takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {error.strerror}; set api.port to another, to 0 for any "
            "that is free, or api.enabled to false",
            field="api.port",
        ) from None
    listener.setblocking(False)
    return listener


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
        connection = H11Protocol(config, state, {})
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
