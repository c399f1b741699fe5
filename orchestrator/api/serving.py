"""The HTTP surface as a scope: listening, with events and MCP, until it is left."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from starlette.routing import Route

from orchestrator.api import mcp, server
from orchestrator.api.app import create_app
from orchestrator.api.events import Hub
from orchestrator.api.security import allowed_hosts
from orchestrator.commands.authentication import authenticate
from orchestrator.commands.use import Use

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where to listen and under which names; see the settings of the section `api`."""

    host: str = "127.0.0.1"
    port: int = 0
    allowed_hosts: tuple[str, ...] = ()
    allow_remote: bool = False
    open_health: bool = False


@asynccontextmanager
async def serving(use: Use, address: Address, *, with_worker: bool = False) -> AsyncIterator[str]:
    """Yields the address that was bound. Raises ConfigurationError when it cannot be."""

    async def identify(token: str) -> Use | None:
        return await authenticate(use, token)

    listener = server.bind(address.host, address.port, allow_remote=address.allow_remote)
    port = listener.getsockname()[1]
    hosts = allowed_hosts(port, bound=address.host, named=address.allowed_hosts)
    hub, door = Hub(use.database), mcp.McpDoor(identify, hosts=sorted(hosts))
    app = create_app(
        use,
        hub=hub,
        hosts=hosts,
        mounts=[Route(mcp.PATH, endpoint=door)],
        with_worker=with_worker,
        open_health=address.open_health,
    )
    url = f"http://{f'[{address.host}]' if ':' in address.host else address.host}:{port}"
    # Events end before the listener does: whoever follows them is told, and does not hold it up.
    async with door.running(), server.listening(app, listener), hub.running():
        log.info("api.listening", url=url)
        yield url
