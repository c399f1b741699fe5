"""Tokens of people and their programs: kept as digests, found by them."""

import hmac
from typing import Final

from sqlalchemy import Connection, insert, select, update

from orchestrator.domain.errors import AlreadyExists
from orchestrator.domain.token import Token
from orchestrator.store.tables import tokens

PERSON: Final = "person"
"""Scope of a token that is a person's; see `callers` for those of attempts."""

_COLUMNS: Final = (
    tokens.c.id,
    tokens.c.name,
    tokens.c.created_at,
    tokens.c.expires_at,
    tokens.c.revoked_at,
    tokens.c.used_at,
)


def issue(tx: Connection, token: Token, *, digest: str) -> None:
    """Keep a new token. Raises AlreadyExists when one of that name holds."""
    query = select(tokens.c.id, *_COLUMNS[3:5]).where(tokens.c.scope == PERSON, tokens.c.name == token.name)
    for row in tx.execute(query.where(tokens.c.revoked_at.is_(None))):
        if row.expires_at is None or row.expires_at > token.created_at:
            raise AlreadyExists(f"token {token.name} already exists; revoke it first", field="name")
    tx.execute(
        insert(tokens).values(
            id=token.id,
            digest=digest,
            name=token.name,
            scope=PERSON,
            created_at=token.created_at,
            expires_at=token.expires_at,
        )
    )


def find(tx: Connection, digest: str) -> Token | None:
    """The token with this digest, whether it still holds or not."""
    query = select(*_COLUMNS, tokens.c.digest).where(tokens.c.digest == digest, tokens.c.scope == PERSON)
    row = tx.execute(query).mappings().first()
    if row is None or not hmac.compare_digest(row["digest"], digest):
        return None
    return Token(**{column.name: row[column.name] for column in _COLUMNS})


def list_tokens(tx: Connection) -> list[Token]:
    """All of them, the newest first; those that no longer hold are among them."""
    order = (tokens.c.created_at.desc(), tokens.c.id)
    query = select(*_COLUMNS).where(tokens.c.scope == PERSON).order_by(*order)
    return [Token(**row) for row in tx.execute(query).mappings()]


def named(tx: Connection, name: str) -> list[Token]:
    """Those with this id or name that were not revoked."""
    same = (tokens.c.id == name) | (tokens.c.name == name)
    query = select(*_COLUMNS).where(tokens.c.scope == PERSON, tokens.c.revoked_at.is_(None), same)
    return [Token(**row) for row in tx.execute(query).mappings()]


def revoke(tx: Connection, token_id: str, *, now: float) -> None:
    tx.execute(update(tokens).where(tokens.c.id == token_id).values(revoked_at=now))


def used(tx: Connection, token_id: str, *, now: float) -> None:
    """It was shown."""
    tx.execute(update(tokens).where(tokens.c.id == token_id).values(used_at=now))
