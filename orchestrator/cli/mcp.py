"""`orchestrator mcp`: every command as a tool, over standard input and output."""

import asyncio

from mcp.server.stdio import stdio_server

from orchestrator.api.mcp_server import server
from orchestrator.cli.session import use


def mcp() -> None:
    """Serve every command over MCP on standard input and output.

    Whoever can start this program on this host may call every command, as on the command line.
    """
    asyncio.run(_serve())


async def _serve() -> None:
    async with use() as ready, stdio_server() as (reading, writing):
        serving = server(lambda _request: ready)
        await serving.run(reading, writing, serving.create_initialization_options())
