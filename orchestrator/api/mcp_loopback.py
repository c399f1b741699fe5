"""A listener on loopback with the MCP door and nothing else."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.routing import Route

from orchestrator.api import server
from orchestrator.api.address import bind
from orchestrator.api.mcp import PATH, McpDoor
from orchestrator.commands import calls
from orchestrator.commands.use import Use
from orchestrator.domain.token import digest_of

LOOPBACK: Final = "127.0.0.1"


@asynccontextmanager
async def listening(use: Use) -> AsyncIterator[str]:
    """The address, on a free port, while the scope lasts. Only tokens of attempts that go on are answered.
    Raises ConfigurationError."""

    async def identify(token: str) -> Use | None:
        return await calls.as_agent(use, digest_of(token))

    with contextlib.closing(bind(LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        door = McpDoor(identify, hosts=(f"{LOOPBACK}:{port}",))
        app = Starlette(routes=[Route(PATH, endpoint=door)])
        async with door.running(), server.listening(app, listener):
            yield f"http://{LOOPBACK}:{port}{PATH}"
