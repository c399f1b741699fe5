"""What tasks that have ended left on the disk of this host: removed by age and by size."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from pathlib import Path
from typing import Final

import structlog

from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.project import Project
from orchestrator.domain.retention import MEBIBYTE, Keep, Kept, before, to_remove
from orchestrator.store import projects, retention
from orchestrator.store.database import Database, Transaction
from orchestrator.store.retention import Ended
from orchestrator.worker.checkouts import ATTEMPTS, EMPTY, WORKTREES, Checkouts, remove

log = structlog.get_logger()

TRANSCRIPT: Final = ".jsonl"
"""How the name of what a session goes on from ends, wherever in an attempt's directory it lies."""
FIRST_SECONDS: Final = 60.0
ASKED: Final = 500
"""Tasks that the database is asked about at once."""


class Directories:
    """One for a process: every host looks after its own. A task that has not ended keeps all it has; what is
    of a task that the database does not know goes by the age of its directory."""

    def __init__(
        self, *, home: Path, database: Database, keep: Keep, clock: Callable[[], float] = time.time
    ) -> None:
        self._home = home
        self._database = database
        self._keep = keep
        self._clock = clock
        self._checkouts = Checkouts(home)
        self._bytes: dict[Path, int] = {}
        """Of directories that nobody writes to any more."""
        self._stripped: set[str] = set()

    async def go_on(self, *, seconds: float) -> None:
        """Sweep, and again every so many seconds, until cancelled."""
        await asyncio.sleep(min(seconds, FIRST_SECONDS))
        while True:
            try:
                await self.sweep()
            except (OrchestratorError, OSError) as error:
                log.warning("directories.delayed", error=str(error))
            await asyncio.sleep(seconds)

    async def sweep(self) -> dict[str, int]:
        """Remove all that is due by now; says of how many tasks. Raises DatabaseUnavailable, and OSError for
        what could not be removed."""
        gone = {
            "checkouts": await self._sweep_checkouts(),
            "scratch": await self._sweep_scratch(),
            "transcripts": await self._sweep_transcripts(),
        }
        found = {name: count for name, count in gone.items() if count}
        if found:
            log.info("directories.swept", **found)
        return found

    async def _sweep_checkouts(self) -> int:
        due = await self._due((WORKTREES, EMPTY), self._keep.checkouts_days, self._keep.checkouts_mb)
        gone = 0
        async for name, project in self._still_ended(due):
            gone += await asyncio.to_thread(self._checkouts.discard, project, name, attempts=False)
        return gone

    async def _sweep_scratch(self) -> int:
        """Caches, temporary files, copies of settings: all but the transcripts."""
        cut = before(self._clock(), self._keep.scratch_days)
        if cut is None:
            return 0
        ended = await self._ended((ATTEMPTS,))
        self._stripped &= ended.keys()  # a task that was tried again is looked at again
        due = [name for name, since in ended.items() if since < cut and name not in self._stripped]
        async for name, _ in self._still_ended(due):
            place = self._home / ATTEMPTS / name
            await asyncio.to_thread(_strip, place)
            self._bytes.pop(place, None)
            self._stripped.add(name)
        return len(due)

    async def _sweep_transcripts(self) -> int:
        due = await self._due((ATTEMPTS,), self._keep.transcripts_days, self._keep.transcripts_mb)
        gone = 0
        async for name, _ in self._still_ended(due):
            await asyncio.to_thread(remove, self._home / ATTEMPTS / name)
            gone += 1
        return gone

    async def _due(self, kinds: Collection[str], days: float | None, megabytes: float | None) -> list[str]:
        """The tasks whose directories of these kinds are too old, or too much all together."""
        ended = await self._ended(kinds)
        sizes = dict.fromkeys(ended, 0)
        if megabytes is not None:
            sizes = await asyncio.to_thread(self._measured, kinds, ended)
        kept = [Kept(name=name, since=since, bytes=sizes[name]) for name, since in ended.items()]
        limit = None if megabytes is None else int(megabytes * MEBIBYTE)
        return [one.name for one in to_remove(kept, cut=before(self._clock(), days), limit=limit)]

    async def _ended(self, kinds: Iterable[str]) -> dict[str, float]:
        """The tasks with such directories that do not go on, and since when."""
        found = await asyncio.to_thread(_listed, [self._home / kind for kind in kinds])
        names = list(found)
        known: dict[str, Ended] = {}
        for start in range(0, len(names), ASKED):
            known |= await self._database.read(retention.ended, names[start : start + ASKED])
        since = {name: known[name].at if name in known else touched for name, touched in found.items()}
        return {name: at for name, at in since.items() if at is not None}

    async def _still_ended(self, names: Iterable[str]) -> AsyncIterator[tuple[str, Project | None]]:
        """Those that nobody tries again meanwhile, asked one by one just before, each with its project."""
        for name in names:
            goes_on, project = await self._database.read(_owner, name)
            if not goes_on:
                yield name, project

    def _measured(self, kinds: Collection[str], names: Iterable[str]) -> dict[str, int]:
        measured = {}
        for name in names:
            places = [self._home / kind / name for kind in kinds]
            for place in places:
                if place not in self._bytes:
                    self._bytes[place] = _size(place)
            measured[name] = sum(self._bytes[place] for place in places)
        gone = [place for place in self._bytes if place.parent.name in kinds and place.name not in measured]
        for place in gone:
            del self._bytes[place]
        return measured


def _owner(tx: Transaction, task_id: str) -> tuple[bool, Project | None]:
    """Whether the task goes on, and its project where both are known."""
    known = retention.ended(tx, [task_id]).get(task_id)
    if known is None:
        return False, None
    return known.at is None, projects.get(tx, known.project_id)


def _listed(places: Iterable[Path]) -> dict[str, float]:
    """The names of the directories there, and when each was last changed itself."""
    found: dict[str, float] = {}
    for place in places:
        if place.is_dir():
            for entry in os.scandir(place):
                if entry.is_dir(follow_symlinks=False):
                    touched = entry.stat(follow_symlinks=False).st_mtime
                    found[entry.name] = max(touched, found.get(entry.name, 0.0))
    return found


def _size(place: Path) -> int:
    """Bytes on the disk of all that is in it; links are not followed."""
    total = 0
    if not place.is_dir() or place.is_symlink():
        return total
    for _, _, files, at in os.fwalk(place, follow_symlinks=False):
        for name in files:
            try:
                total += os.stat(name, dir_fd=at, follow_symlinks=False).st_blocks * 512
            except OSError:  # gone meanwhile
                continue
    return total


def _strip(place: Path) -> None:
    """Remove all but transcripts, by handles of directories: links lead nowhere. What cannot be removed now
    goes with the rest later."""
    for _, folders, files, at in os.fwalk(place, topdown=False, follow_symlinks=False):
        for name in files:
            if not name.endswith(TRANSCRIPT):
                _try(os.unlink, name, at)
        for name in folders:
            _try(os.unlink, name, at)  # a link to one
            _try(os.rmdir, name, at)


def _try(function: Callable[..., None], name: str, at: int) -> None:
    try:
        function(name, dir_fd=at)
    except OSError:  # a folder where a link was thought, or one that still holds something
        return
