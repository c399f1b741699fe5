"""What is refused or goes wrong, as problem details over HTTP."""

import json
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from orchestrator.commands.problem import problem
from orchestrator.domain.errors import OrchestratorError

MEDIA_TYPE: Final = "application/problem+json"

TITLES: Final[dict[int, str]] = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not permitted",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Not possible in the current state",
    413: "Too large",
    415: "Not JSON",
    421: "Wrong host",
    422: "Invalid input",
    500: "Failed",
    503: "Not usable now",
}
"""Every status of a problem that any address may answer with."""


CODES: Final[dict[int, str]] = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    413: "too-large",
    415: "not-json",
}
"""The code of a problem whose status says it all."""


class Refused(Exception):
    """The request itself is refused, whatever it asks for."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code

    @classmethod
    def of(cls, error: OrchestratorError) -> "Refused":
        """The same, where a command's error has to end the request before it began."""
        return cls(problem(error)["status"], error.code, str(error))

    @classmethod
    def token(cls, hint: str) -> "Refused":
        """Nobody known; `hint` is where a token comes from."""
        return cls(401, "token", f"A valid token is needed: Authorization: Bearer <token>; {hint}.")

    def response(self) -> Response:
        details = {
            "type": f"urn:orchestrator:problem:{self.code}",
            "title": TITLES[self.status],
            "status": self.status,
            "detail": str(self),
        }
        return response(details)


def check_json(content_type: str | None) -> None:
    """Raises Refused for a body that does not say it is JSON."""
    if (content_type or "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, CODES[415], "The body must be JSON, and its Content-Type application/json.")


def of_error(error: OrchestratorError) -> Response:
    """The problem that the command line would tell in the same words."""
    return response(problem(error))


def fault() -> Response:
    """A fault of ours; what it is stands in the log and not here."""
    return Refused(500, "error", "A fault of this program; its log has the details.").response()


def response(details: dict[str, Any]) -> Response:
    headers = {"www-authenticate": "Bearer"} if details["status"] == 401 else None
    return Response(
        json.dumps(details), status_code=details["status"], media_type=MEDIA_TYPE, headers=headers
    )


async def refuse(refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the problem. A WebSocket that is asked for gets it in place of the upgrade."""
    answer = refused.response()
    if scope["type"] == "http":
        await answer(scope, receive, send)
    else:
        await send(
            {
                "type": "websocket.http.response.start",
                "status": answer.status_code,
                "headers": answer.raw_headers,
            }
        )
        await send({"type": "websocket.http.response.body", "body": answer.body})
