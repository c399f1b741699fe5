"""An MCP server on standard input with one resource and nothing else: the tools for resources then appear."""

import json
import sys
from typing import Any

NAME = "resources"


def answer(message: dict[str, Any]) -> dict[str, Any]:
    """The result of one request; an empty one for what it does not serve."""
    match message.get("method"):
        case "initialize":
            return {
                "protocolVersion": message.get("params", {}).get("protocolVersion", "2025-06-18"),
                "capabilities": {"resources": {}},
                "serverInfo": {"name": NAME, "version": "1"},
            }
        case "resources/list":
            return {"resources": [{"uri": "rehearsal://one", "name": "one"}]}
        case _:
            return {}


if __name__ == "__main__":
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            reply = {"jsonrpc": "2.0", "id": message["id"], "result": answer(message)}
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()
