"""The options that every command takes, as given on this command line."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    home: Path | None = None
    database: str | None = None
    json: bool = False

    @property
    def overrides(self) -> dict[str, Any]:
        """Settings given on the command line, by dotted key."""
        return {} if self.database is None else {"database.url": self.database}


_NONE: Final = Options()
_CURRENT: Final[ContextVar[Options]] = ContextVar("options", default=_NONE)


def current() -> Options:
    return _CURRENT.get()


@contextmanager
def bound(options: Options) -> Iterator[None]:
    """These options hold for what runs inside."""
    token = _CURRENT.set(options)
    try:
        yield
    finally:
        _CURRENT.reset(token)
