"""The rehearsal's server: on loopback, and for as long as its scope."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from weakref import WeakSet

from starlette.types import Scope
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from orchestrator.domain.errors import StartRefused
from orchestrator.rehearsal.endpoint import application
from orchestrator.rehearsal.journal import Journal
from orchestrator.rehearsal.request import Request
from orchestrator.rehearsal.script import Script

LOOPBACK = "127.0.0.1"


class Server:
    """A running rehearsal: where it is, and what it was asked."""

    def __init__(self, port: int, journal: Journal) -> None:
        self.port = port
        self.url = f"http://{LOOPBACK}:{port}"
        self._journal = journal

    @property
    def requests(self) -> tuple[Request, ...]:
        """The latest requests for a message, oldest first."""
        return self._journal.requests

    async def wait_for_request(self, number: int, timeout: float = 30.0) -> Request:
        """The request with this number, counted from 1. Raises TimeoutError."""
        return await self.wait_for(lambda request: request.number == number, timeout)

    async def wait_for(self, wanted: Callable[[Request], bool], timeout: float = 30.0) -> Request:
        """The first request that is `wanted`, already seen or still to come. Raises TimeoutError."""
        return await self._journal.wait_for(wanted, timeout=timeout)


@asynccontextmanager
async def serve(script: Script, *, port: int = 0, log: Path | None = None) -> AsyncIterator[Server]:
    """Answer from the script until the scope ends; then every connection is closed, hanging ones included.

    `log` is a file that gets a line of JSON for each request. Raises StartRefused when the port is taken or
    the file cannot be written.
    """
    _must_be_writable(log)
    journal = Journal(log)
    state = ServerState()

    connections = WeakSet[H11Protocol]()

    def drop(scope: Scope) -> None:
        for connection in connections:
            if connection.client == scope["client"]:
                connection.transport.close()

    def connect() -> H11Protocol:
        connection = H11Protocol(config, state, {})
        connection.access_log = False
        connections.add(connection)
        return connection

    # The protocol is used without uvicorn's own server: that one takes over the process's signals, and
    # looks ten times a second whether it should end.
    config = Config(
        application(script, journal, drop), log_config=None, lifespan="off", ws="none", proxy_headers=False
    )
    config.load()
    loop = asyncio.get_running_loop()
    listener = _listener(port)
    server = await loop.create_server(connect, sock=listener)
    try:
        yield Server(listener.getsockname()[1], journal)
    finally:
        server.close()
        for connection in list(connections):
            if not connection.transport.is_closing():
                connection.transport.abort()
        if state.tasks:
            await asyncio.wait(list(state.tasks), timeout=5.0)


def _must_be_writable(log: Path | None) -> None:
    if log is None:
        return
    try:
        log.touch(mode=0o600)
    except OSError as error:
        raise StartRefused(f"The rehearsal cannot write {log}: {error}. Choose another file.") from error


def _listener(port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it, an answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise StartRefused(
            f"The rehearsal cannot listen on {LOOPBACK}:{port}: {error}."
            " Choose another port, or 0 for a free one."
        ) from error
    listener.setblocking(False)
    return listener
