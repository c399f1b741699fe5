"""One answer on its way to the client, with the faults that the script asks for."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import assert_never

from starlette.types import Receive, Send

from orchestrator.rehearsal import wire
from orchestrator.rehearsal.request import Request
from orchestrator.rehearsal.script import CutOff, Failure, Hang, Malformed, Reply, StreamError

EVENTS = "text/event-stream; charset=utf-8"
JSON = "application/json"
BROKEN = b'{"type": "content_block_delta", "index": 0, "delta": {"type": "text_'


class Gone(Exception):
    """The client left, or the server ended: nobody listens any more."""


class Line:
    """The way to one client, for one answer."""

    def __init__(self, send: Send, *, gone: asyncio.Event, drop: Callable[[], None]) -> None:
        self._send = send
        self._gone = gone
        self._drop = drop

    async def whole(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        """A complete answer in one go."""
        await self.start(status, JSON, {**(headers or {}), "content-length": str(len(content))})
        await self._send({"type": "http.response.body", "body": content})

    async def start(self, status: int, kind: str, headers: Mapping[str, str] | None = None) -> None:
        fields = {"content-type": kind, "x-orchestrator-rehearsal": "true", **(headers or {})}
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def play(self, parts: Iterable[bytes], *, pause: float = 0.0) -> None:
        """Send one part after another. Raises Gone as soon as nobody listens."""
        for part in parts:
            await self.wait(pause)
            await self._send({"type": "http.response.body", "body": part, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})

    async def wait(self, seconds: float | None) -> None:
        """Let time pass; `None` is until nobody listens. Raises Gone then."""
        if self._gone.is_set():
            raise Gone
        if seconds == 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._gone.wait()
        except TimeoutError:
            return
        raise Gone

    async def hang(self) -> None:
        await self.wait(None)

    async def cut(self) -> None:
        """Close the connection with the answer unfinished."""
        self._drop()
        await self.wait(None)


async def listening(receive: Receive, gone: asyncio.Event) -> None:
    """Set `gone` when the client has left. For use once the body of the request has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()


async def give(reply: Reply, request: Request, line: Line, *, label: bool) -> None:
    """Send a reply. Raises Gone when the client leaves before its end, as it does after a cut."""
    await line.wait(reply.delay)
    match reply.fault:
        case Failure() as fault:
            await line.whole(fault.status, wire.error_body(fault.type, fault.message), fault.headers)
        case Hang(where="before_headers"):
            await line.hang()
        case CutOff(where="before_headers"):
            await line.cut()
        case _ if request.stream:
            await _stream(reply, request, line, label)
        case _:
            await _whole(reply, request, line, label)


async def _stream(reply: Reply, request: Request, line: Line, label: bool) -> None:
    parts = list(wire.events(reply, number=request.number, model=request.model, label=label))
    half = parts if reply.fault is None else wire.first_half(parts)
    await line.start(200, EVENTS, {"cache-control": "no-cache"})
    await line.play(half, pause=reply.pause)
    match reply.fault:
        case Hang():
            await line.hang()
        case CutOff():
            await line.cut()
        case StreamError() as fault:
            await line.play([wire.error_event(fault)])
        case Malformed():
            await line.play([b"event: content_block_delta\ndata: " + BROKEN + b"\n\n"])
        case None | Failure():
            pass
        case _:
            assert_never(reply.fault)
    await line.end()


async def _whole(reply: Reply, request: Request, line: Line, label: bool) -> None:
    content = wire.body(reply, number=request.number, model=request.model, label=label)
    match reply.fault:
        case StreamError() as fault:
            status = wire.STATUS_OF_TYPE.get(fault.type, 500)
            await line.whole(status, wire.error_body(fault.type, fault.message))
        case Malformed():
            await line.whole(200, BROKEN)
        case Hang() | CutOff() as fault:
            await line.start(200, JSON, {"content-length": str(len(content))})
            await line.play([content[: len(content) // 2]])
            await (line.hang() if isinstance(fault, Hang) else line.cut())
        case None | Failure():
            await line.wait(reply.pause)
            await line.whole(200, content)
        case _:
            assert_never(reply.fault)
