"""MCP servers that many people use, for whoever writes a profile and looks for one."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownServer:
    """A server under the name it usually has, and the npm package it comes from."""

    name: str
    description: str
    npm_package: str


KNOWN_MCP_SERVERS: Final = (
    KnownServer(
        name="chrome-devtools",
        description="Inspects and drives a Chrome browser through its developer tools.",
        npm_package="chrome-devtools-mcp",
    ),
    KnownServer(
        name="context7",
        description="Current documentation of libraries, looked up by version.",
        npm_package="@upstash/context7-mcp",
    ),
    KnownServer(
        name="eslint",
        description="Lints JavaScript and TypeScript.",
        npm_package="@eslint/mcp",
    ),
    KnownServer(
        name="filesystem",
        description="Reads and writes files below the directories it is given.",
        npm_package="@modelcontextprotocol/server-filesystem",
    ),
    KnownServer(
        name="memory",
        description="Keeps facts as a graph that outlives the session.",
        npm_package="@modelcontextprotocol/server-memory",
    ),
    KnownServer(
        name="playwright",
        description="Drives a web browser.",
        npm_package="@playwright/mcp",
    ),
    KnownServer(
        name="sequential-thinking",
        description="A scratch pad for thinking in numbered steps.",
        npm_package="@modelcontextprotocol/server-sequential-thinking",
    ),
)
