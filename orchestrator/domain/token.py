"""Tokens: shown once, kept as digests."""

import hashlib
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "orc_"
"""What a token begins with, so that people and scanners of secrets recognise one."""


def digest_of(token: str) -> str:
    """What is kept of a token. A plain hash is enough: tokens are random and long, so nobody guesses them."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """A token of a person or a program of his, not one of an attempt. Times are Unix seconds."""

    id: str
    name: str
    created_at: float
    expires_at: float | None = None
    """`None`: it does not run out."""
    revoked_at: float | None = None
    used_at: float | None = None
    """When it was last shown, to the minute; `None` when it never was."""

    def holds(self, now: float) -> bool:
        """Whether it is accepted."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
