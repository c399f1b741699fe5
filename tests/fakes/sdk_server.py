"""An MCP server made with the SDK: `sdk_server.py stdio` or `sdk_server.py http PORT_FILE`.

FAKE_FACTS names a file that gets its environment as JSON; by HTTP it gets a line for each request's headers.
FAKE_FAULT is what is wrong with it: `exit` (ends at once with a word on stderr), `hang` (never answers).
"""

import json
import os
import socket
import sys
import time
from pathlib import Path

from mcp.server import MCPServer

server = MCPServer("fake")


@server.tool()
def lint(path: str, strict: bool = False) -> str:
    """Find faults in a file."""
    return f"{path}: no faults ({strict})"


@server.tool()
def ping() -> str:
    """Answer."""
    return "pong"


def note(fact):
    if place := os.environ.get("FAKE_FACTS"):
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(json.dumps(fact) + "\n")


def main():
    note(dict(os.environ))
    fault = os.environ.get("FAKE_FAULT")
    if fault == "exit":
        sys.exit(f"no licence for key {os.environ.get('LICENCE')}")
    if fault == "hang":
        time.sleep(3600)
    if sys.argv[1] == "stdio":
        server.run("stdio")
        return
    import uvicorn  # noqa: PLC0415 - only where it is used

    app = server.streamable_http_app()

    async def noting(scope, receive, send):
        if scope["type"] == "http":
            note({key.decode(): value.decode() for key, value in scope["headers"]})
        await app(scope, receive, send)

    listening = socket.create_server(("127.0.0.1", 0))
    ready = Path(sys.argv[2])
    ready.with_suffix(".new").write_text(str(listening.getsockname()[1]))
    ready.with_suffix(".new").replace(ready)
    uvicorn.Server(uvicorn.Config(noting, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main()
