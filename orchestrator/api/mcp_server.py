"""The MCP server: commands as tools, for whoever calls."""

import json
from collections.abc import Callable, Sequence
from typing import Any, cast

import structlog
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)

from orchestrator import __version__
from orchestrator.api.identify import BODY_BYTES
from orchestrator.commands import calls
from orchestrator.commands.command import AnyCommand
from orchestrator.commands.use import Use
from orchestrator.commands.wire import shape
from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.tools import EMBEDDED_SERVER

log = structlog.get_logger()

Request = ServerRequestContext[Any, Any]
WhoCalls = Callable[[Request], Use]
"""What the caller of a request may use, himself included."""


def server(who: WhoCalls) -> Server[Any]:
    """Lists to each caller what he may call, and carries it out. What a command refuses is a tool error, in
    the words of the problem."""

    async def list_tools(request: Request, _params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[_tool(command) for command in calls.open_to(who(request).caller)])

    async def call_tool(request: Request, params: CallToolRequestParams) -> CallToolResult:
        try:
            answer = await calls.call(who(request), params.name, params.arguments or {})
        except OrchestratorError as error:
            return _said(str(error), is_error=True)
        except Exception:
            log.exception("mcp.fault", tool=params.name)
            return _said("A fault of this program; its log has the details.", is_error=True)
        return _said(json.dumps(answer, ensure_ascii=False), structured=answer)

    return Server(
        EMBEDDED_SERVER,
        version=__version__,
        instructions="Tasks, profiles and projects of the orchestrator that runs this agent.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def http_manager(who: WhoCalls, hosts: Sequence[str]) -> StreamableHTTPSessionManager:
    """Serves the same over HTTP, each request by itself: nothing that one caller began is ever another's.
    `hosts` are the values of Host that are answered, and Origin must be of one of them."""
    return StreamableHTTPSessionManager(
        server(who),
        stateless=True,
        json_response=True,
        max_request_body_size=BODY_BYTES,
        security_settings=TransportSecuritySettings(
            allowed_hosts=list(hosts),
            allowed_origins=[f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")],
        ),
    )


def _tool(command: AnyCommand) -> Tool:
    return Tool(
        name=command.name,
        description=(command.handler.__doc__ or "").strip(),
        input_schema=shape(cast(Any, command.request)).model_json_schema(),
        annotations=ToolAnnotations(read_only_hint=not command.changes),
    )


def _said(text: str, *, is_error: bool = False, structured: Any = None) -> CallToolResult:
    content = [TextContent(type="text", text=text)]
    return CallToolResult(content=list(content), structured_content=structured, is_error=is_error)
