"""The HTTP application: commands, events, metrics, health, and what is mounted beside them."""

from collections.abc import Iterable
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from orchestrator.api import operation
from orchestrator.api.events import Hub
from orchestrator.api.metrics import Metrics
from orchestrator.api.problems import CODES, Refused
from orchestrator.api.resources import PREFIX
from orchestrator.api.routes import routes
from orchestrator.api.security import HEALTH_PATHS, Guard
from orchestrator.api.stream import Stream, sse, websocket
from orchestrator.api.webhook import Webhook
from orchestrator.commands.authentication import authenticate
from orchestrator.commands.use import Use


def create_app(
    use: Use,
    *,
    hub: Hub,
    hosts: frozenset[str],
    mounts: Iterable[BaseRoute] = (),
    with_worker: bool = False,
    open_health: bool = False,
    webhook: Webhook | None = None,
) -> ASGIApp:
    """Answers on `hosts` only, to whoever shows a token; `hub` must be running meanwhile.

    `mounts` are routes of other applications; they stand behind the same guard, and find what their caller
    may use in the scope under `identify.USE`. `with_worker` says that a worker is to run in this process.
    """

    async def identify(token: str) -> Use | None:
        return await authenticate(use, token)

    inner = Starlette(
        routes=[
            *routes(),
            Route(f"{PREFIX}/events", Stream(hub, sse), methods=["GET"]),
            WebSocketRoute(f"{PREFIX}/ws", Stream(hub, websocket)),
            *operation.routes(use, Metrics(use, hub), with_worker=with_worker),
            *([] if webhook is None else [webhook.route]),
            *mounts,
        ],
        exception_handlers={HTTPException: _unknown},
    )
    inner.router.redirect_slashes = False
    open_paths = (*(HEALTH_PATHS if open_health else ()), *(webhook.open_paths if webhook else ()))
    return Guard(inner, hosts=hosts, identify=identify, open_paths=open_paths)


async def _unknown(_request: Request, error: Exception) -> Response:
    """No such address, or not with this method."""
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    code = CODES.get(error.status_code, phrase.lower().replace(" ", "-"))
    refused = Refused(error.status_code, code, f"{phrase}; see /api/v1/openapi.json.")
    answer = refused.response()
    answer.headers.update(error.headers or {})
    return answer
