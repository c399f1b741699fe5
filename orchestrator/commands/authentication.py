"""Who shows a token: a person or a program of his, or an agent at work."""

from dataclasses import replace
from typing import Final

from orchestrator.commands import calls
from orchestrator.commands.use import Caller, Use
from orchestrator.domain.token import digest_of
from orchestrator.store import tokens

USED_SECONDS: Final = 60.0
"""How exactly it is kept when a token was last used."""


async def authenticate(use: Use, token: str) -> Use | None:
    """What the owner of the token may use, he himself as the caller; `None` for a token that nobody
    made, that was revoked or has run out, and for an attempt's once that has ended."""
    digest = digest_of(token)
    found = await use.database.read(tokens.find, digest)
    if found is None:
        return await calls.as_agent(use, digest)
    now = use.clock()
    if not found.holds(now):
        return None
    if found.used_at is None or now - found.used_at >= USED_SECONDS:
        await use.database.run(tokens.used, found.id, now=now)
    return replace(use, caller=Caller(name=f"token/{found.name}"))
