"""Events as they happen: server-sent events and WebSocket, with the same filters and the same text."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from orchestrator.api import address
from orchestrator.api.events import Dropped, Hub, Message, Subscription
from orchestrator.api.problems import Refused, refuse
from orchestrator.api.security import person
from orchestrator.domain.cloud_event import Wanted, wanted_types
from orchestrator.domain.errors import InvalidInput, OrchestratorError
from orchestrator.domain.known_events import checked_types

T = TypeVar("T")

KEEP_ALIVE_SECONDS: Final = 15.0
"""A comment after so long without an event, so that proxies keep the connection and we notice its end."""
PARAMETERS: Final = ("type", "project", "task", "after")

_GOING_AWAY: Final = 1001
_TRY_AGAIN: Final = 1013
_LARGEST: Final = 2**63 - 1


class Stream:
    """An address where events can be followed, as `carry` sends them."""

    def __init__(self, hub: Hub, carry: "Carry") -> None:
        self._hub = hub
        self._carry = carry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            person(scope)
            wanted, after = _asked(
                QueryParams(scope["query_string"]), Headers(scope=scope).get("last-event-id")
            )
            async with self._hub.subscribed(wanted, after=after) as reader:
                with suppress(TimeoutError, OSError):  # the client has gone, or takes nothing any more
                    await self._carry(reader, receive, send)
        except Refused as refused:
            await refuse(refused, scope, receive, send)
        except OrchestratorError as error:
            await refuse(Refused.of(error), scope, receive, send)


async def sse(reader: Subscription, receive: Receive, send: Send) -> None:
    """Server-sent events, each with its id, so that a browser resumes by itself."""
    async with _gone(receive) as gone:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        await _within(send({"type": "http.response.start", "status": 200, "headers": headers}))

        async def say(text: str, *, more: bool = True) -> None:
            await _within(send({"type": "http.response.body", "body": text.encode(), "more_body": more}))

        await say(": ready\n\n")
        while not gone.done():
            try:
                page = await _next(reader, gone)
            except TimeoutError:
                await say(": alive\n\n")
            except Dropped:
                notice = json.dumps({"after": reader.last})
                await say(f"event: dropped\ndata: {notice}\n\n", more=False)
                return
            else:
                if page is None:
                    break
                await say("".join(f"id: {one.id}\nevent: {one.type}\ndata: {one.text}\n\n" for one in page))
        if not gone.done():
            await say("", more=False)


async def websocket(reader: Subscription, receive: Receive, send: Send) -> None:
    """One CloudEvent a message. What the client sends is read and forgotten."""
    await receive()  # the request to connect
    await send({"type": "websocket.accept"})
    code, reason = _GOING_AWAY, "the server stops"
    async with _gone(receive) as gone:
        while not gone.done():
            try:
                page = await _next(reader, gone)
            except TimeoutError:
                continue  # pings of the protocol keep the connection
            except Dropped:
                code, reason = _TRY_AGAIN, json.dumps({"dropped": True, "after": reader.last})
                break
            if page is None:
                break
            for message in page:
                await _within(send({"type": "websocket.send", "text": message.text}))
        if not gone.done():
            await _within(send({"type": "websocket.close", "code": code, "reason": reason}))


Carry = Callable[[Subscription, Receive, Send], Awaitable[None]]


def _asked(query: QueryParams, again: str | None) -> tuple[Wanted, int | None]:
    """The filters, and the id to resume after; `Last-Event-ID` counts more than `after`, as it is newer."""
    for name in query:
        if name not in PARAMETERS:
            raise InvalidInput(f"unknown parameter '{name}'; known: {', '.join(PARAMETERS)}", field=name)
    given = again if again is not None else query.get("after")
    if given is not None and not (
        given.isascii() and given.isdigit() and len(given) < 20 and int(given) <= _LARGEST
    ):
        raise InvalidInput(f"after must be the id of an event, got {given[:40]!r}", field="after")
    wanted = Wanted(
        types=checked_types(wanted_types(query.getlist("type"))),
        project_id=query.get("project"),
        task_id=query.get("task"),
    )
    return wanted, None if given is None else int(given)


async def _next(reader: Subscription, gone: "asyncio.Task[None]") -> list[Message] | None:
    """What is new; nothing at all when the client has gone. Raises Dropped, or TimeoutError when it is time
    to show that we live."""
    coming = asyncio.ensure_future(reader.next())
    try:
        await asyncio.wait((coming, gone), timeout=KEEP_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if coming.done():
            return coming.result()
        if gone.done():
            return None
        raise TimeoutError
    finally:
        coming.cancel()


@asynccontextmanager
async def _gone(receive: Receive) -> "AsyncIterator[asyncio.Task[None]]":
    """Done once the client has gone."""

    async def read() -> None:
        while "disconnect" not in (await receive())["type"]:
            pass

    task = asyncio.ensure_future(read())
    try:
        yield task
    finally:
        task.cancel()


async def _within(sending: Awaitable[T]) -> T:
    async with asyncio.timeout(address.STUCK_SECONDS):
        return await sending
