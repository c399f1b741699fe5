"""Time as it goes by elsewhere: by the database's clock, and also while this machine is suspended."""

import sys
import time
from collections.abc import Callable
from typing import Final

if sys.platform == "darwin":
    _SINCE_BOOT: Final = time.CLOCK_MONOTONIC_RAW
else:
    _SINCE_BOOT: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def since_boot() -> float:
    """Seconds since the machine started, those included in which it was suspended: for whatever is compared
    with what goes on elsewhere meanwhile, such as a lease. `time.monotonic`, and with it every timer of
    asyncio, stands still then, and is right for waiting: a timer is late by what it still had to go.

    Linux counts them in CLOCK_BOOTTIME, macOS in CLOCK_MONOTONIC_RAW (its mach_continuous_time; the clock of
    that name on Linux stands still). Of a system with neither, and of a virtual machine that its host
    stopped without a word to it, the time awake is all that is known.
    """
    return time.clock_gettime(_SINCE_BOOT)


class Clock:
    """Until the database has said what time it is, the wall clock's word is taken; from then on only the
    time that has gone by since is measured here, asleep or awake."""

    def __init__(self, wall: Callable[[], float], since_boot: Callable[[], float] = since_boot) -> None:
        self._wall = wall
        self._since_boot = since_boot
        self._known: tuple[float, float] | None = None

    def __call__(self) -> float:
        """Now, in Unix seconds."""
        if self._known is None:
            return self._wall()
        at, learnt = self._known
        return at + self._since_boot() - learnt

    def learn(self, at: float) -> None:
        """It was `at` by the database's clock a moment ago."""
        self._known = at, self._since_boot()
