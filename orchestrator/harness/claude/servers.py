"""MCP servers as the command line wants them; pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.domain.errors import StartRefused
from orchestrator.domain.mcp import McpServer
from orchestrator.domain.secret import resolved

EXPANDED = "${"
"""The command line expands this everywhere in its file, from an environment that holds the credentials. So
everything is resolved here, and nothing of it may be left."""


def mcp_document(servers: Sequence[McpServer], secrets: Mapping[str, str], hidden: Sequence[str] = ()) -> str:
    """The content of the `--mcp-config` file; it holds secrets. `hidden` are variables of the agent that its
    stdio servers would inherit and must not see.

    Raises StartRefused, naming the server, for a reference to a secret that is not there or is in a place
    where none is resolved.
    """
    entries = {server.name: _entry(resolved(server, secrets), hidden) for server in servers}
    return json.dumps({"mcpServers": entries}, indent=1)


def _entry(server: McpServer, hidden: Sequence[str]) -> dict[str, Any]:
    if server.transport == "stdio":
        if not server.command:
            raise StartRefused(f"MCP server {server.name} has no command; add one to its document.")
        return {
            "type": "stdio",
            "command": _plain(server, "command", server.command),
            "args": [_plain(server, "args", word) for word in server.args],
            "env": {**dict.fromkeys(hidden, ""), **_final(server, "env", server.env)},
            "alwaysLoad": True,
        }
    if not server.url:
        raise StartRefused(f"MCP server {server.name} has no url; add one to its document.")
    return {
        "type": "http",
        "url": _plain(server, "url", server.url),
        "headers": _final(server, "headers", server.headers),
        "alwaysLoad": True,
    }


def _plain(server: McpServer, where: str, text: str) -> str:
    if EXPANDED in text:
        raise StartRefused(
            f"MCP server {server.name}: {where} has a reference; `${{NAME}}` is possible in env and "
            "headers only."
        )
    return text


def _final(server: McpServer, where: str, values: Mapping[str, str]) -> dict[str, str]:
    for key, value in values.items():
        if EXPANDED in value:
            raise StartRefused(
                f"MCP server {server.name}: {where}.{key} would still have `${{` in it, which the command "
                "line expands once more; only whole references such as ${NAME} are possible."
            )
    return dict(values)
