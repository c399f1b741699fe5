"""Providers of models: which credential speaks to which, and for how long one is to be left alone."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """A provider to be left alone for a while, because of what it told an attempt."""

    reason: str
    message: str
    until: float


def provider_of(harness: str, credentials: Mapping[str, str]) -> str:
    """A name for what a harness reaches with these credentials: the same on every host that has them. Of the
    credentials it shows nothing but whether they are the same."""
    text = "\0".join(f"{name}={value}" for name, value in sorted(credentials.items()))
    return f"{harness}@{hashlib.blake2s(text.encode(), digest_size=6).hexdigest()}"
