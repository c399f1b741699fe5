"""The command that lists what a profile can name: tools and MCP servers."""

from dataclasses import dataclass

from orchestrator.commands.use import Use
from orchestrator.domain.known_servers import KNOWN_MCP_SERVERS
from orchestrator.domain.known_tools import KNOWN_TOOLS
from orchestrator.domain.tools import EMBEDDED_TOOLS


@dataclass(frozen=True, kw_only=True, slots=True)
class ListTools:
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class AvailableTool:
    name: str
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AvailableServer:
    name: str
    description: str
    npm_package: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AvailableTools:
    tools: tuple[AvailableTool, ...]
    mcp_servers: tuple[AvailableServer, ...]


async def list_available_tools(use: Use, request: ListTools) -> AvailableTools:
    """List the tools and MCP servers that a profile can name."""
    del use, request
    tools = [AvailableTool(name=tool.name, description=tool.description) for tool in KNOWN_TOOLS]
    tools += [AvailableTool(name=tool.name, description=tool.description) for tool in EMBEDDED_TOOLS]
    servers = [
        AvailableServer(name=known.name, description=known.description, npm_package=known.npm_package)
        for known in KNOWN_MCP_SERVERS
    ]
    return AvailableTools(
        tools=tuple(sorted(tools, key=lambda tool: tool.name)),
        mcp_servers=tuple(sorted(servers, key=lambda server: server.name)),
    )
