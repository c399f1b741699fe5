"""Who calls: the token of a request, and what its owner may use."""

from collections.abc import Awaitable, Callable
from typing import Final

from orchestrator.api.problems import Refused
from orchestrator.commands.use import Use
from orchestrator.domain.errors import OrchestratorError

Identify = Callable[[str], Awaitable[Use | None]]
"""What the owner of a token may use; `None` for a token that is not known, or no more."""

USE: Final = "orchestrator.use"
"""Where the scope of an admitted request keeps what its caller may use."""

BODY_BYTES: Final = 64 << 20
"""Of a request at most: prompts may have 8 MiB, and their JSON several times that."""


def bearer_token(header: str | None) -> str | None:
    """The token of an Authorization header, `None` when it holds none."""
    scheme, _, token = (header or "").strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


async def caller(identify: Identify, header: str | None) -> Use | None:
    """What the sender of this Authorization header may use; `None` for one that is nobody's. Raises Refused
    when that cannot be found out now, as while the database is away."""
    token = bearer_token(header)
    try:
        return None if token is None else await identify(token)
    except OrchestratorError as error:
        raise Refused.of(error) from error
