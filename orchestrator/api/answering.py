"""The HTTP surface on a socket: commands, events, MCP, until the scope is left."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.routing import Route

from orchestrator.api import mcp, server
from orchestrator.api.address import Address
from orchestrator.api.app import create_app
from orchestrator.api.events import Hub
from orchestrator.api.security import allowed_hosts
from orchestrator.api.webhook import Webhook
from orchestrator.commands.authentication import authenticate
from orchestrator.commands.use import Use


@asynccontextmanager
async def answering(
    use: Use, address: Address, listener: socket.socket, *, with_worker: bool
) -> AsyncIterator[None]:
    """Answer whoever connects."""

    async def identify(token: str) -> Use | None:
        return await authenticate(use, token)

    hosts = allowed_hosts(listener.getsockname()[1], bound=address.host, named=address.allowed_hosts)
    hub, door = Hub(use.database), mcp.McpDoor(identify, hosts=sorted(hosts))
    webhook = Webhook(use, address.webhook_secret)
    app = create_app(
        use,
        hub=hub,
        hosts=hosts,
        mounts=[Route(mcp.PATH, endpoint=door)],
        with_worker=with_worker,
        open_health=address.open_health,
        webhook=webhook,
    )
    # Events end before the listener does: whoever follows them is told, and does not hold it up.
    async with door.running(), server.listening(app, listener), hub.running():
        looking = asyncio.create_task(webhook.looking(), name="webhook")
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait([looking])
