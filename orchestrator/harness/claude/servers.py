"""MCP servers as the command line wants them; pure."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.domain.errors import StartRefused
from orchestrator.domain.mcp import McpServer

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

EXPANDED = "${"
"""The command line expands this everywhere in its file, from an environment that holds the credentials. So
everything is resolved here, and nothing of it may be left."""


def mcp_document(servers: Sequence[McpServer], secrets: Mapping[str, str], hidden: Sequence[str] = ()) -> str:
    """The content of the `--mcp-config` file; it holds secrets. `hidden` are variables of the agent that its
    stdio servers would inherit and must not see.

    Raises StartRefused, naming the server, for a reference to a secret that is not there or is in a place
    where none is resolved.
    """
    entries = {server.name: _entry(server, secrets, hidden) for server in servers}
    return json.dumps({"mcpServers": entries}, indent=1)


def _entry(server: McpServer, secrets: Mapping[str, str], hidden: Sequence[str]) -> dict[str, Any]:
    if server.transport == "stdio":
        if not server.command:
            raise StartRefused(f"MCP server {server.name} has no command; add one to its document.")
        return {
            "type": "stdio",
            "command": _plain(server, "command", server.command),
            "args": [_plain(server, "args", word) for word in server.args],
            "env": {**dict.fromkeys(hidden, ""), **_resolved(server, "env", server.env, secrets)},
            "alwaysLoad": True,
        }
    if not server.url:
        raise StartRefused(f"MCP server {server.name} has no url; add one to its document.")
    return {
        "type": "http",
        "url": _plain(server, "url", server.url),
        "headers": _resolved(server, "headers", server.headers, secrets),
        "alwaysLoad": True,
    }


def _plain(server: McpServer, where: str, text: str) -> str:
    if EXPANDED in text:
        raise StartRefused(
            f"MCP server {server.name}: {where} has a reference; `${{NAME}}` is possible in env and "
            "headers only."
        )
    return text


def _resolved(
    server: McpServer, where: str, values: Mapping[str, str], secrets: Mapping[str, str]
) -> dict[str, str]:
    def value_of(name: str) -> str:
        if name not in secrets:
            raise StartRefused(
                f"MCP server {server.name}: {where} refers to ${{{name}}}, and there is no secret of that "
                "name; "
                "add it to the secrets."
            )
        return secrets[name]

    resolved = {key: REFERENCE.sub(lambda found: value_of(found[1]), value) for key, value in values.items()}
    for key, value in resolved.items():
        if EXPANDED in value:
            raise StartRefused(
                f"MCP server {server.name}: {where}.{key} would still have "
                f"`${{` in it, which the command line "
                "expands once more; only whole references such as ${NAME} are possible."
            )
    return resolved
