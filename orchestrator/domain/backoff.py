"""How long to wait before trying again."""

from typing import Final

RETRY_BASE: Final = 10.0
RETRY_CAP: Final = 3600.0
"""Seconds. Ten at first, so that a hiccup costs little; an hour at most, so that a night is not lost."""


def delay(times: int, *, jitter: float, base: float = RETRY_BASE, cap: float = RETRY_CAP) -> float:
    """Seconds to wait after `times` failures in a row: doubling from `base` up to `cap`.

    `jitter`, in [0, 1), moves the result between half and the whole of it, so that tasks that failed
    together do not come back together.
    """
    doublings = min(max(times, 1) - 1, 62)
    full = min(cap, base * 2.0**doublings)
    return full * (1 + jitter) / 2
