"""The MCP door: streamable HTTP for whoever shows a token."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from orchestrator.api.identify import USE, Identify, caller
from orchestrator.api.mcp_problems import as_problems
from orchestrator.api.problems import Refused, check_json, refuse
from orchestrator.commands.use import Use

if TYPE_CHECKING:
    # Only its name: the SDK takes 26 MiB, and most of the time no agent has a tool of ours.
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

PATH: Final = "/mcp"
LOOPBACK_HOSTS: Final = ("127.0.0.1:*", "localhost:*", "[::1]:*")


class McpDoor:
    """An ASGI application for one path. It is open while `running` lasts; the SDK is loaded with the first
    request that has a valid token.

    As a route of a larger application: `Route("/mcp", endpoint=door)`, and `running` around it. A guard that
    has already found out who calls leaves that in the scope under `USE`.
    """

    def __init__(self, identify: Identify, *, hosts: Sequence[str] = LOOPBACK_HOSTS) -> None:
        """`hosts` are the values of Host that are answered; `:*` stands for any port."""
        self._identify = identify
        self._hosts = tuple(hosts)
        self._wanted = asyncio.Event()
        self._manager: asyncio.Future[StreamableHTTPSessionManager] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            use = await self._admitted(scope)
        except Refused as refused:
            await refuse(refused, scope, receive, send)
            return
        if self._manager is None:
            raise RuntimeError("the door is closed: its `running` must last as long as it is served")
        self._wanted.set()
        manager = await asyncio.shield(self._manager)
        await manager.handle_request({**scope, USE: use}, receive, as_problems(send))

    async def _admitted(self, scope: Scope) -> Use:
        """Raises Refused."""
        headers = Headers(scope=scope)
        use: Use | None = scope.get(USE) or await caller(self._identify, headers.get("authorization"))
        if use is None:
            raise Refused.token("an attempt's ends with it")
        if scope["method"] == "POST":
            check_json(headers.get("content-type"))
        return use

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self._manager = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(
            # Whoever needs the door first is not who everything is logged for.
            self._serve(self._manager),
            name="mcp",
            context=contextvars.Context(),
        )
        try:
            yield
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            self._manager = None

    async def _serve(self, ready: "asyncio.Future[StreamableHTTPSessionManager]") -> None:
        """One task from start to end: the SDK's group of tasks must be left by the task that entered it."""
        await self._wanted.wait()
        try:
            manager = await asyncio.to_thread(self._load)
        except Exception as error:  # noqa: BLE001 - handed on whole to the requests that wait
            ready.set_exception(error)
            return
        async with manager.run():
            ready.set_result(manager)
            await asyncio.Event().wait()

    def _load(self) -> "StreamableHTTPSessionManager":
        from orchestrator.api import mcp_server  # noqa: PLC0415 - loaded with the first request

        return mcp_server.http_manager(_of_request, self._hosts)


def _of_request(request: Any) -> Use:
    use: Use = request.request.scope[USE]
    return use
