"""What each project had lately, kept up to date without asking the database every time."""

import time
from collections.abc import Callable, Iterable, Mapping

from orchestrator.domain.ending import Ending
from orchestrator.store import load
from orchestrator.store.database import Database
from orchestrator.store.load import Recent

REFRESH_SECONDS = 5.0

PATIENCE = 50.0
"""A refresh reads a row for every attempt of the window; it may take a fiftieth of the time at most."""


class Recently:
    """Asks the database from time to time, and adds this worker's own attempts as they end."""

    def __init__(self, database: Database, window_seconds: float, clock: Callable[[], float]) -> None:
        self._database = database
        self._window_seconds = window_seconds
        self._clock = clock
        self._known: dict[str, Recent] = {}
        self._again_at = 0.0

    @property
    def by_project(self) -> Mapping[str, Recent]:
        """As last known."""
        return dict(self._known)

    async def refresh(self) -> None:
        """Ask, if it is time to."""
        begun = time.monotonic()
        if begun >= self._again_at:
            self._known = await self._database.read(
                load.recent, now=self._clock(), window_seconds=self._window_seconds
            )
            took = time.monotonic() - begun
            self._again_at = begun + max(REFRESH_SECONDS, PATIENCE * took)

    def add(self, recorded: Iterable[Ending], *, at: float, lease_seconds: float) -> None:
        self._known = plus(self._known, recorded, at=at, lease_seconds=lease_seconds)


def plus(
    known: Mapping[str, Recent], recorded: Iterable[Ending], *, at: float, lease_seconds: float
) -> dict[str, Recent]:
    """What is known of each project, and what these endings add to it."""
    added: dict[str, list[float]] = {}
    for one in recorded:
        took = max(at - (one.claim.lease_until - lease_seconds), 0.0)
        added.setdefault(one.claim.task.project_id, []).append(took)
    result = dict(known)
    for project, seconds in added.items():
        before = result.get(project, Recent())
        result[project] = Recent(
            finished=before.finished + len(seconds), seconds=before.seconds + sum(seconds)
        )
    return result
