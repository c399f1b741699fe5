"""The database's time, as far as this worker knows it: its own wall clock may be wrong."""

import time
from collections.abc import Callable


class Clock:
    """Until the database has said what time it is, the wall clock's word is taken; from then on only the
    time that has gone by since is measured here."""

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._known: tuple[float, float] | None = None

    def __call__(self) -> float:
        """Now, in Unix seconds."""
        if self._known is None:
            return self._wall()
        at, learnt = self._known
        return at + self._monotonic() - learnt

    def learn(self, at: float) -> None:
        """It was `at` by the database's clock a moment ago."""
        self._known = at, self._monotonic()
