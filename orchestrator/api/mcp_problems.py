"""What the MCP library refuses, as the problem details of every other address."""

import json
from typing import Any, Final

from starlette.types import Message, Send

from orchestrator.api.problems import CODES, Refused

PARSE_ERROR: Final = -32700
"""JSON-RPC: what came is no JSON."""


def as_problems(send: Send) -> Send:
    """A `send` that says refusals of HTTP itself as RFC 9457. An error about a message that was understood
    stays a message of the protocol, which its clients read: with one of those they agree on a version."""
    start: Message | None = None
    body = b""

    async def sending(message: Message) -> None:
        nonlocal start, body
        if message["type"] == "http.response.start" and message["status"] in CODES:
            start = message
        elif start is None:
            await send(message)
        else:
            body += message.get("body", b"")
            if not message.get("more_body", False):
                await _tell(start, body, send)

    return sending


async def _tell(start: Message, body: bytes, send: Send) -> None:
    status, error = start["status"], _error(body)
    if status == 400 and error.get("code", PARSE_ERROR) != PARSE_ERROR:
        await send(start)
        await send({"type": "http.response.body", "body": body})
        return
    detail = str(error.get("message") or body.decode(errors="replace").strip() or CODES[status])
    answer = Refused(status, CODES[status], detail).response()
    wanted = (b"allow", b"connection")
    kept = [one for one in start.get("headers", ()) if one[0].lower() in wanted]
    await send({**start, "headers": [*answer.raw_headers, *kept]})
    await send({"type": "http.response.body", "body": answer.body})


def _error(body: bytes) -> dict[str, Any]:
    """The error of a JSON-RPC message, empty when it is none."""
    try:
        found = json.loads(body).get("error")
    except (ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}
