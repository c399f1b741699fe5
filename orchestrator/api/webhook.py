"""The address that a git host calls after a push: look at the vault's remote again."""

import asyncio
import hashlib
import hmac
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator.api.problems import Refused
from orchestrator.api.resources import PREFIX
from orchestrator.api.routes import as_json, edge
from orchestrator.api.security import person
from orchestrator.commands.use import Use
from orchestrator.commands.vault import look_at_remote
from orchestrator.domain.errors import OrchestratorError

log = structlog.get_logger()

PATH: Final = f"{PREFIX}/webhooks/vault"
MOST_BYTES: Final = 25 * 1024 * 1024
"""What GitHub sends at most; it is read for its signature and never kept."""

SIGNATURES: Final = ("x-hub-signature-256", "x-hub-signature", "x-gitea-signature", "x-forgejo-signature")
"""HMAC-SHA256 of the body: GitHub, Bitbucket, Gitea, Forgejo."""
TOKENS: Final = ("x-gitlab-token",)
"""The secret itself, as GitLab sends it."""


class Webhook:
    """Who has no token of ours shows the secret, or has signed with it. Without a secret a token is needed.

    What is in the call counts for nothing: it says "look again", so that nobody gains by sending an old
    one twice. However many come, one look runs at a time, and one more after it.
    """

    def __init__(self, use: Use, secret: str | None) -> None:
        self._use = use
        self._secret = secret.encode() if secret else None
        self._again = asyncio.Event()

    @property
    def route(self) -> Route:
        return Route(PATH, edge(self._called), methods=["POST"])

    @property
    def open_paths(self) -> tuple[str, ...]:
        return () if self._secret is None else (PATH,)

    async def looking(self) -> None:
        """Do what was asked for, until cancelled."""
        while True:
            await self._again.wait()
            self._again.clear()
            try:
                await look_at_remote(self._use)
            except (OrchestratorError, OSError) as error:
                log.warning("vault.webhook_failed", error=str(error))

    async def _called(self, request: Request) -> Response:
        if self._secret is None:
            person(request.scope)
        else:
            await _check(request, self._secret)
        self._again.set()
        answer = as_json({"status": "accepted"})
        answer.status_code = 202
        return answer


async def _check(request: Request, secret: bytes) -> None:
    """Raises Refused."""
    digest, length = hmac.new(secret, digestmod=hashlib.sha256), 0
    async for part in request.stream():
        length += len(part)
        if length > MOST_BYTES:
            raise Refused(413, "too-large", f"A call has at most {MOST_BYTES} bytes.")
        digest.update(part)
    signed = digest.hexdigest().encode()
    for name in SIGNATURES:
        if (said := request.headers.get(name)) is not None:
            if hmac.compare_digest(said.removeprefix("sha256=").encode(), signed):
                return
            raise Refused(401, "signature", f"{name} is not what vault.git.webhook_secret makes of the body.")
    for name in TOKENS:
        if (said := request.headers.get(name)) is not None and hmac.compare_digest(said.encode(), secret):
            return
    raise Refused(
        401,
        "signature",
        "Sign the body with the setting vault.git.webhook_secret.",
    )
