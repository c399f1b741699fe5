"""Times as people write and read them."""

import re
from datetime import UTC, datetime
from typing import Final

from orchestrator.domain.errors import InvalidInput

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


def duration(text: str, field: str) -> float:
    """Seconds from `90`, `90s`, `15m`, `2h` or `1d`. Raises InvalidInput."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(
            f"{field} must be a duration such as 90s, 15m, 2h or 1d, got {text!r}", field=field
        )
    return float(match[1]) * _UNITS[match[2] or "s"]


def moment(text: str, field: str, *, now: float) -> float:
    """Unix seconds from `+15m` or an ISO 8601 time; one without a zone is local. Raises InvalidInput."""
    if text.startswith("+"):
        return now + duration(text[1:], field)
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{field} must be a time such as +15m or 2031-05-01T08:00, got {text!r}", field=field
        ) from None


def shown(at: float | None) -> str | None:
    """Local time with its zone, or nothing."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def with_offset(at: float) -> str:
    """Local time as ISO 8601 writes it, to compare with one of another zone."""
    return datetime.fromtimestamp(at, UTC).astimezone().isoformat(sep=" ", timespec="seconds")


def ago(at: float | None, *, now: float) -> str:
    """How long ago, in one unit, such as `5m`; a dash for never."""
    if at is None:
        return "-"
    seconds = max(now - at, 0.0)
    for limit, unit, size in ((100, "s", 1), (100 * 60, "m", 60), (48 * 3600, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds / 86_400:.0f}d"
