#!/usr/bin/env python3
"""A small MCP server over stdio: `mcp_server.py LOG [TOOL ...]`, by default the tools `ping` and `other`.

Each call is a line of JSON in LOG; the first line is the environment it was started with. MCP_DELAY is how
many seconds it takes to answer the first request.
"""

import json
import os
import sys
import time
from pathlib import Path

LOG = Path(sys.argv[1])
TOOLS = sys.argv[2:] or ["ping", "other"]


def note(fact):
    with LOG.open("a", encoding="utf-8") as file:
        file.write(json.dumps(fact) + "\n")


def answer(method, parameters):
    if method == "initialize":
        return {
            "protocolVersion": parameters["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "fake", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": [{"name": n, "description": n, "inputSchema": {"type": "object"}} for n in TOOLS]}
    if method == "tools/call":
        note({"called": parameters["name"]})
        return {"content": [{"type": "text", "text": f"{parameters['name']} ran"}]}
    return {}


def main():
    note({"environment": dict(os.environ)})
    time.sleep(float(os.environ.get("MCP_DELAY", "0")))
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            result = answer(message["method"], message.get("params") or {})
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)


if __name__ == "__main__":
    main()
