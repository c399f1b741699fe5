"""`orchestrator token create`, `list`, `revoke`."""

import time
from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output, times
from orchestrator.cli.session import call
from orchestrator.commands import tokens
from orchestrator.domain.token import Token


def create(
    name: Annotated[str, Parameter(help="Whose or what for; to recognise it by.")],
    *,
    expires: Annotated[str | None, Parameter(help="When it runs out: +30d, or a time.")] = None,
) -> None:
    """Make a token and print it, this once. HTTP needs one with every request."""
    at = None if expires is None else times.moment(expires, "expires", now=time.time())
    output.show(call(tokens.create_token, tokens.CreateToken(name=name, expires_at=at)), _created)


def list_() -> None:
    """List the tokens of people and programs, without their secrets."""
    output.show(call(tokens.list_tokens, tokens.ListTokens()), _listed)


def revoke(token: Annotated[str, Parameter(help="Its id or its name.")]) -> None:
    """End a token: from now on nobody is answered who shows it."""
    output.show(call(tokens.revoke_token, tokens.RevokeToken(token=token)), _revoked)


def _created(made: tokens.TokenCreated) -> Iterator[RenderableType]:
    yield output.text(made.token)


def _listed(found: tokens.TokenList) -> Iterator[RenderableType]:
    now = time.time()
    rows = (
        (
            one.id,
            one.name,
            _standing(one, now),
            times.ago(one.created_at, now=now),
            times.ago(one.used_at, now=now),
        )
        for one in found.tokens
    )
    yield output.table(("id", "name", "", "made", "used"), rows)


def _standing(token: Token, now: float) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if not token.holds(now):
        return "ran out"
    return "holds" if token.expires_at is None else f"holds until {times.shown(token.expires_at)}"


def _revoked(ended: tokens.TokenRevoked) -> Iterator[RenderableType]:
    yield output.text(f"{ended.revoked} {ended.name} is revoked")
