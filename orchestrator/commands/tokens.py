"""Commands about the tokens of people and their programs."""

import secrets
from dataclasses import dataclass
from typing import Final

from orchestrator.commands import checks, ids
from orchestrator.commands.use import Use
from orchestrator.domain.errors import InvalidInput, NotFound
from orchestrator.domain.token import PREFIX, Token, digest_of
from orchestrator.store import audit, tokens
from orchestrator.store.database import Transaction

TOKEN_BYTES: Final = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateToken:
    name: str
    expires_at: float | None = None
    """Absent: it does not run out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenCreated:
    created: str
    name: str
    token: str
    """Shown here and never again."""
    expires_at: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ListTokens:
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenList:
    tokens: tuple[Token, ...]
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RevokeToken:
    token: str
    """Its id or its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRevoked:
    revoked: str
    name: str


async def create_token(use: Use, request: CreateToken) -> TokenCreated:
    """Make a token for a person or a program; it is shown once."""
    now = use.clock()
    name = checks.check_title(request.name, "name")
    checks.check_number(request.expires_at, "expires_at", least=0, most=checks.LATEST)
    if request.expires_at is not None and request.expires_at <= now:
        raise InvalidInput("expires_at must be in the future", field="expires_at")
    secret = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    token = Token(id=ids.new_id(now, use.random()), name=name, created_at=now, expires_at=request.expires_at)

    def write(tx: Transaction) -> None:
        tokens.issue(tx, token, digest=digest_of(secret))
        _record(tx, use, "create_token", token, now)

    await use.database.run(write)
    return TokenCreated(created=token.id, name=name, token=secret, expires_at=token.expires_at)


async def list_tokens(use: Use, request: ListTokens) -> TokenList:
    """List the tokens of people and programs, without their secrets."""
    del request
    found = tuple(await use.database.read(tokens.list_tokens))
    return TokenList(tokens=found, count=len(found))


async def revoke_token(use: Use, request: RevokeToken) -> TokenRevoked:
    """End a token: from now on nobody is answered who shows it."""
    now = use.clock()
    wanted = checks.storable(request.token, "token")

    def write(tx: Transaction) -> Token:
        found = tokens.named(tx, wanted)
        if not found:
            raise NotFound(f"token {wanted[:80]} not found among those that hold", field="token")
        for token in found:
            tokens.revoke(tx, token.id, now=now)
            _record(tx, use, "revoke_token", token, now)
        return found[0]

    token = await use.database.run(write)
    return TokenRevoked(revoked=token.id, name=token.name)


def _record(tx: Transaction, use: Use, command: str, token: Token, now: float) -> None:
    audit.record(
        tx,
        actor=use.caller.name,
        command=command,
        subject=f"token/{token.id}",
        now=now,
        data={"name": token.name, "expires_at": token.expires_at},
    )
