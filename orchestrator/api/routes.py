"""Commands over HTTP: each address answers with the result of one command, or the problem."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator.api import problems, requests
from orchestrator.api.identify import USE
from orchestrator.api.problems import Refused
from orchestrator.api.resources import RESOURCES, Resource
from orchestrator.commands import calls
from orchestrator.commands.use import Use
from orchestrator.domain.errors import OrchestratorError

log = structlog.get_logger()

Endpoint = Callable[[Request], Awaitable[Response]]


def routes() -> list[Route]:
    """One route for each address."""
    return [
        Route(one.path, endpoint=edge(_endpoint(one)), methods=[one.method], name=_name(one))
        for one in RESOURCES
    ]


def edge(endpoint: Endpoint) -> Endpoint:
    """The same, with whatever it raises as a problem: the outermost edge of a request."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Refused as refused:
            return refused.response()
        except OrchestratorError as error:
            return problems.of_error(error)
        except Exception:
            log.exception("request.fault", method=request.method, path=request.url.path)
            return problems.fault()

    return answer


def as_json(value: Any) -> Response:
    """Only ASCII: whatever text an agent produced, lone surrogates included, arrives as it is kept."""
    return Response(json.dumps(value, allow_nan=False), media_type="application/json")


def _endpoint(resource: Resource) -> Endpoint:
    command = resource.command

    async def call(request: Request) -> Response:
        use: Use = request.scope[USE]
        given = requests.from_path(command.request, request.path_params)
        if resource.takes_body:
            document = requests.merged(await requests.body(request), given)
        else:
            document = {**requests.from_query(command.request, request.query_params), **given}
        return as_json(await calls.call(use, command.name, document))

    return call


def _name(resource: Resource) -> str:
    by_name = resource.path.endswith(f"/commands/{resource.command.name}")
    return f"command_{resource.command.name}" if by_name else resource.command.name
