"""Cleaning up after attempts whose worker was killed: their files with secrets go, what they did stays."""

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from orchestrator.store import rescue
from orchestrator.store.database import Database
from orchestrator.worker.checkouts import ATTEMPTS

log = structlog.get_logger()


class LeftBehind:
    """On this host. `clean_up` removes, from an attempt's directory, what its adapter would have; it may be
    called too often."""

    def __init__(self, *, home: Path, database: Database, clean_up: Callable[[Path], None]) -> None:
        self._home = home
        self._database = database
        self._clean_up = clean_up

    async def of_all(self) -> None:
        """After every attempt that is in nobody's hands, whenever it ended. Raises DatabaseUnavailable."""
        found = await asyncio.to_thread(_listed, self._home / ATTEMPTS)
        # Asked after the look: an attempt that is claimed meanwhile makes its directory later.
        held = await self._database.read(rescue.claimed)
        await self.of([attempt for attempt in found if attempt not in held])

    async def of(self, attempts: Iterable[tuple[str, int]]) -> None:
        """After these, by task and number; those of another host are not here."""
        await asyncio.to_thread(self._remove, attempts)

    def _remove(self, attempts: Iterable[tuple[str, int]]) -> None:
        for task_id, number in attempts:
            self._clean_up(self._home / ATTEMPTS / task_id / str(number))


def _listed(place: Path) -> list[tuple[str, int]]:
    found = []
    for task in _directories(place):
        found += [(task, int(name)) for name in _directories(place / task) if name.isdecimal()]
    return found


def _directories(place: Path) -> list[str]:
    try:
        with os.scandir(place) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:  # not yet there, or removed meanwhile
        return []
    except OSError as error:
        log.warning("leftovers.unread", place=str(place), error=str(error))
        return []
