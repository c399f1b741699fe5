"""What operators look at: metrics, health, readiness, and the description of the surface."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator.api import health
from orchestrator.api.identify import USE
from orchestrator.api.metrics import MEDIA_TYPE, Metrics
from orchestrator.api.resources import PREFIX
from orchestrator.api.routes import as_json, edge
from orchestrator.api.security import person
from orchestrator.commands.use import Use


def routes(use: Use, figures: Metrics, *, with_worker: bool) -> list[Route]:
    async def healthz(_request: Request) -> Response:
        return as_json({"status": "ok"})

    async def readyz(request: Request) -> Response:
        parts = await health.parts(use, with_worker=with_worker)
        ready = all(part.problem is None for part in parts)
        answer: dict[str, object] = {"status": "ready" if ready else "not ready"}
        if request.scope[USE] is not None:  # without a token, nothing of what is wrong
            answer["parts"] = {part.name: part.problem or "ready" for part in parts}
        told = as_json(answer)
        told.status_code = 200 if ready else 503
        return told

    async def metrics(request: Request) -> Response:
        person(request.scope)
        return Response(await figures.text(), media_type=MEDIA_TYPE)

    async def description(_request: Request) -> Response:
        # Lazily: it takes as much memory as all the rest, and few ever ask.
        from orchestrator.api import openapi  # noqa: PLC0415 - loaded on first use

        return as_json(openapi.document())

    return [
        Route("/healthz", edge(healthz), methods=["GET"]),
        Route("/readyz", edge(readyz), methods=["GET"]),
        Route("/metrics", edge(metrics), methods=["GET"]),
        Route(f"{PREFIX}/openapi.json", edge(description), methods=["GET"]),
    ]
