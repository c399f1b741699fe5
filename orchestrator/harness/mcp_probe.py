"""Probing MCP servers: start each as an agent would, ask what tools it has, and end it."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import httpx2
import structlog
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from orchestrator.domain.errors import StartRefused
from orchestrator.domain.mcp import McpServer, ServerProbe, ServerTool
from orchestrator.domain.secret import Mask, beginning, ending, literals, mask_of, references, resolved
from orchestrator.harness.process import Child, Isolation, build_environment, start

log = structlog.get_logger()

LIMIT_SECONDS: Final = 10.0
"""For one server, from its start to its last tool."""

AT_ONCE: Final = 16
"""Servers that are started at the same time."""

MOST_TOOLS: Final = 1000
MOST_BYTES: Final = 4 << 20
"""What a server may say altogether."""

MOST_DESCRIPTION: Final = 10_000
"""Characters of a tool's description that are kept."""

LAST_WORDS: Final = 500
"""Characters of the end of its stderr that a failed server's error has."""

PASSED_ON: Final = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE")


class _Failed(Exception):
    """What went wrong with a server, in its own words where it said any."""


async def probe_servers(
    servers: Sequence[McpServer],
    *,
    secrets: Mapping[str, str],
    isolation: Isolation,
    clock: Callable[[], float],
    parent: Mapping[str, str],
    limit_seconds: float = LIMIT_SECONDS,
) -> list[ServerProbe]:
    """Probe them all side by side; one result each, in their order. Nothing is raised for what a server does.

    `parent` is the environment of which a server gets what it would get from an agent. To be called from the
    main thread, which starts the processes.
    """
    at_once = asyncio.Semaphore(AT_ONCE)

    async def one(server: McpServer) -> ServerProbe:
        # What the document holds as it stands is not shown either: it may be a key, put there by mistake.
        unsaid = Mask([*literals(server), *(secrets[name] for name in references(server) if name in secrets)])
        try:
            async with at_once:
                tools = await _tools(resolved(server, secrets), isolation, parent, limit_seconds)
        except (StartRefused, _Failed) as error:
            return ServerProbe(at=clock(), error=unsaid.text(str(error)))
        said = mask_of([server], secrets)
        return ServerProbe(at=clock(), tools=tuple(map(said.value, tools)))

    return list(await asyncio.gather(*map(one, servers)))


async def _tools(
    server: McpServer, isolation: Isolation, parent: Mapping[str, str], limit_seconds: float
) -> list[ServerTool]:
    """Raises StartRefused and _Failed."""
    said: list[str] = []
    streams = _stdio(server, isolation, parent, said) if server.transport == "stdio" else _http(server)
    try:
        async with asyncio.timeout(limit_seconds), Client(streams, mode="legacy", cache=None) as client:
            return await _listed(client)
    except TimeoutError:
        why = f"no answer within {limit_seconds:g} s"
    except Exception as error:  # noqa: BLE001 - whatever a stranger's server provokes is the probe's result
        first = _first(error)
        if isinstance(first, StartRefused):
            raise first from None
        why = str(first) or type(first).__name__
        log.debug("mcp_server.probe_failed", server=server.name, kind=type(first).__name__)
    raise _Failed(": ".join((beginning(" ".join(why.split()), LAST_WORDS), *said)))


async def _listed(client: Client) -> list[ServerTool]:
    found: list[ServerTool] = []
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor)
        found += (
            ServerTool(
                name=tool.name,
                description=beginning(tool.description or "", MOST_DESCRIPTION),
                input_schema=tool.input_schema,
            )
            for tool in page.tools
        )
        cursor = page.next_cursor
        if len(found) > MOST_TOOLS or len(page.model_dump_json()) > MOST_BYTES:
            raise _Failed(f"it offers more than {MOST_TOOLS} tools or {MOST_BYTES >> 20} MiB of them")
        if cursor is None:
            return found


@asynccontextmanager
async def _stdio(
    server: McpServer, isolation: Isolation, parent: Mapping[str, str], said: list[str]
) -> AsyncIterator[Any]:
    """The server as a process in containment, ended with all that it started; `said` gets its last words."""
    with tempfile.TemporaryDirectory(prefix="probe-") as home:
        environment = build_environment(
            attempt=f"probe/{server.name}",
            home=home,
            tmp=home,
            parent=parent,
            allow=PASSED_ON,
            extras=server.env,
        )
        command = [server.command or "", *server.args]
        async with start(command, cwd=Path(home), env=environment, isolation=isolation) as child:
            try:
                async with _spoken(child) as streams:
                    yield streams
            finally:
                if words := child.stderr.strip():
                    said.append(ending(words, LAST_WORDS))


@asynccontextmanager
async def _spoken(child: Child) -> AsyncIterator[Any]:
    """A process' pipes as the SDK wants them: messages in, messages out."""
    heard, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, spoken = anyio.create_memory_object_stream[SessionMessage](0)

    async def listen() -> None:
        async with heard:
            async for item in child.messages():
                if isinstance(item, dict):
                    with contextlib.suppress(ValueError):
                        await heard.send(SessionMessage(jsonrpc_message_adapter.validate_python(item)))

    async def speak() -> None:
        async with spoken:
            async for message in spoken:
                line = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                if not await child.write(line.encode() + b"\n"):
                    return

    async with anyio.create_task_group() as group:
        group.start_soon(listen)
        group.start_soon(speak)
        async with read, write:
            yield read, write
        group.cancel_scope.cancel()


@asynccontextmanager
async def _http(server: McpServer) -> AsyncIterator[Any]:
    """The server by streamable HTTP. The SDK follows redirects within its origin only."""
    left = MOST_BYTES

    class Counted(httpx2.AsyncByteStream):
        def __init__(self, stream: httpx2.AsyncByteStream) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal left
            async for chunk in self._stream:
                left -= len(chunk)
                if left < 0:
                    raise _Failed(f"it said more than {MOST_BYTES >> 20} MiB")
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    async def count(response: httpx2.Response) -> None:
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = Counted(response.stream)

    hooks = {"response": [count]}
    async with (
        httpx2.AsyncClient(headers=dict(server.headers), event_hooks=hooks) as client,
        streamable_http_client(server.url or "", http_client=client, terminate_on_close=True) as streams,
    ):
        yield streams


def _first(error: BaseException) -> BaseException:
    """The error itself, out of the groups that task groups wrap it in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
