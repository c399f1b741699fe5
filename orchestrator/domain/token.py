"""Tokens: shown once, kept as digests."""

import hashlib


def digest_of(token: str) -> str:
    """What is kept of a token. A plain hash is enough: tokens are random and long, so nobody guesses them."""
    return hashlib.sha256(token.encode()).hexdigest()
