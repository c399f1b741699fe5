"""The routes of the Messages API that an agent's command line asks for."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from orchestrator.rehearsal import wire
from orchestrator.rehearsal.answer import Gone, Line, give, listening
from orchestrator.rehearsal.choose import Choice, Counts, choose
from orchestrator.rehearsal.journal import Journal
from orchestrator.rehearsal.request import BadRequest, Request, read
from orchestrator.rehearsal.script import Script

BODY_LIMIT: Final = 64 << 20
Drop = Callable[[Scope], None]
"""Closes the connection that a request came by."""


class TooLarge(BadRequest):
    """The body is larger than 64 MiB; a rehearsal takes no more."""


class Messages:
    """`POST /v1/messages`: record the request, choose the reply, send it."""

    def __init__(self, script: Script, journal: Journal, drop: Drop) -> None:
        self._script = script
        self._journal = journal
        self._counts = Counts()
        self._drop = drop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.Event()
        line = Line(send, gone=gone, drop=lambda: self._drop(scope))
        try:
            request, choice = self._recorded(*await _body(HttpRequest(scope, receive)))
        except TooLarge as error:
            return await line.whole(413, wire.error_body("request_too_large", str(error)))
        except BadRequest as error:
            return await line.whole(400, wire.error_body("invalid_request_error", str(error)))
        except OSError as error:
            return await line.whole(500, wire.error_body("api_error", f"the request was not logged: {error}"))
        except ClientDisconnect:
            return None
        listener = asyncio.create_task(listening(receive, gone))
        try:
            await give(choice.reply, request, line, label=self._script.label)
        except Gone:
            return None
        finally:
            listener.cancel()

    def _recorded(self, http: HttpRequest, content: bytes) -> tuple[Request, Choice]:
        try:
            body = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise BadRequest(f"the body is not JSON: {error}") from error
        number = self._journal.total + 1
        request = read(dict(http.headers), body, number=number, at=time.time(), size=len(content))
        choice = choose(self._script, request, self._counts)
        request = replace(request, answered_by=choice.rule)
        self._journal.add(request)
        return request, choice


async def _body(http: HttpRequest) -> tuple[HttpRequest, bytes]:
    content = bytearray()
    async for chunk in http.stream():
        content += chunk
        if len(content) > BODY_LIMIT:
            raise TooLarge((TooLarge.__doc__ or "").strip())
    return http, bytes(content)


async def _count_tokens(http: HttpRequest) -> Response:
    """An estimate, as good as any without a tokenizer: four bytes to a token."""
    _, content = await _body(http)
    return JSONResponse({"input_tokens": len(content) // 4 + 1})


async def _models(_: HttpRequest) -> Response:
    model = {
        "type": "model",
        "id": "rehearsal",
        "display_name": "Rehearsal",
        "created_at": "2026-01-01T00:00:00Z",
    }
    return JSONResponse({"data": [model], "has_more": False, "first_id": "rehearsal", "last_id": "rehearsal"})


async def _home(_: HttpRequest) -> Response:
    return JSONResponse(
        {"service": "orchestrator rehearsal", "label": "No model answers here; a script does."}
    )


async def _not_found(http: HttpRequest, _: Exception) -> Response:
    message = f"a rehearsal does not serve {http.method} {http.url.path}"
    return Response(wire.error_body("not_found_error", message), 404, media_type="application/json")


def application(script: Script, journal: Journal, drop: Drop) -> Starlette:
    """The whole endpoint; what it does not serve is a 404 in the form of the API's errors."""
    return Starlette(
        routes=[
            Route("/", _home, methods=["GET", "HEAD"]),
            Route("/v1/messages", Messages(script, journal, drop), methods=["POST"]),
            Route("/v1/messages/count_tokens", _count_tokens, methods=["POST"]),
            Route("/v1/models", _models, methods=["GET"]),
        ],
        exception_handlers={404: _not_found, 405: _not_found},
    )
