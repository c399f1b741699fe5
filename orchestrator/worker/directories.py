"""What tasks that have ended left on the disk of this host: removed by age and by size."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final

import structlog

from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.project import Project
from orchestrator.domain.retention import MEBIBYTE, Keep, Kept, before, to_remove
from orchestrator.store import projects, queue, retention
from orchestrator.store.database import Database, Transaction
from orchestrator.store.retention import Ended
from orchestrator.worker.checkouts import ATTEMPTS, EMPTY, WORKTREES, Checkouts

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
        self,
        *,
        home: Path,
        database: Database,
        keep: Keep,
        clock: Callable[[Transaction], float] = queue.clock,
    ) -> None:
        """`clock` is the database's, by which tasks have ended: this host's own may be wrong."""
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
        await asyncio.to_thread(self._checkouts.remove_left)
        now = await self._database.read(self._clock)
        gone = {
            "checkouts": await self._sweep_checkouts(now),
            "scratch": await self._sweep_scratch(now),
            "transcripts": await self._sweep_transcripts(now),
        }
        found = {name: count for name, count in gone.items() if count}
        if found:
            log.info("directories.swept", **found)
        return found

    async def _sweep_checkouts(self, now: float) -> int:
        kinds = (WORKTREES, EMPTY)
        due = await self._due(kinds, now, self._keep.checkouts_days, self._keep.checkouts_mb)
        return await self._take_away(due, kinds)

    async def _sweep_scratch(self, now: float) -> int:
        """Caches, temporary files, copies of settings: all but the transcripts."""
        cut = before(now, self._keep.scratch_days)
        if cut is None:
            return 0
        ended = await self._ended((ATTEMPTS,))
        self._stripped &= ended.keys()  # a task that was tried again is looked at again
        due = [name for name, since in ended.items() if since < cut and name not in self._stripped]
        for name in due:
            for place in await asyncio.to_thread(self._attempts_to_strip, name):
                await asyncio.to_thread(_strip, place)
            self._bytes.pop(self._home / ATTEMPTS / name, None)
            self._stripped.add(name)
        return len(due)

    async def _sweep_transcripts(self, now: float) -> int:
        kinds = (ATTEMPTS,)
        due = await self._due(kinds, now, self._keep.transcripts_days, self._keep.transcripts_mb)
        return await self._take_away(due, kinds)

    async def _take_away(self, names: Iterable[str], kinds: Collection[str]) -> int:
        gone = 0
        for name in names:
            project, aside = await asyncio.to_thread(self._set_aside, name, kinds)
            await asyncio.to_thread(self._checkouts.remove_aside, project, name, aside)
            gone += len(aside)
        return gone

    def _set_aside(self, name: str, kinds: Collection[str]) -> tuple[Project | None, list[Path]]:
        """What is there of a task, unless it is tried again by now."""
        with self._checkouts.removing():
            goes_on, project = self._database.read_sync(_owner, name)
            return project, [] if goes_on else self._checkouts.set_aside(name, kinds)

    def _attempts_to_strip(self, name: str) -> list[Path]:
        """Those that the task has had, unless it is tried again by now: a later one has a directory of its
        own, which is not among them."""
        with self._checkouts.removing():
            goes_on, _ = self._database.read_sync(_owner, name)
            place = self._home / ATTEMPTS / name
            return [] if goes_on or not place.is_dir() or place.is_symlink() else list(place.iterdir())

    async def _due(
        self, kinds: Collection[str], now: float, days: float | None, megabytes: float | None
    ) -> list[str]:
        """The tasks whose directories of these kinds are too old, or too much all together."""
        ended = await self._ended(kinds)
        sizes = dict.fromkeys(ended, 0)
        if megabytes is not None:
            sizes = await asyncio.to_thread(self._measured, kinds, ended)
        kept = [Kept(name=name, since=since, bytes=sizes[name]) for name, since in ended.items()]
        limit = None if megabytes is None else int(megabytes * MEBIBYTE)
        return [one.name for one in to_remove(kept, cut=before(now, days), limit=limit)]

    async def _ended(self, kinds: Iterable[str]) -> dict[str, float]:
        """The tasks with such directories that do not go on, and since when."""
        found = await asyncio.to_thread(_listed, [self._home / kind for kind in kinds])
        names = list(found)
        known: dict[str, Ended] = {}
        for start in range(0, len(names), ASKED):
            known |= await self._database.read(retention.ended, names[start : start + ASKED])
        since = {name: known[name].at if name in known else touched for name, touched in found.items()}
        return {name: at for name, at in since.items() if at is not None}

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
    """Remove all but transcripts of an attempt, by handles of directories: links lead nowhere. What cannot be
    removed now goes with the rest later."""
    if place.is_symlink():
        return
    for _, folders, files, at in os.fwalk(place, topdown=False, follow_symlinks=False):
        for name in files:
            if not name.endswith(TRANSCRIPT):
                _try(os.unlink, name, at)
        for name in folders:
            _try(os.unlink, name, at)  # a link to one
            _try(os.rmdir, name, at)
    with contextlib.suppress(OSError):  # one that still holds a transcript
        place.rmdir()


def _try(function: Callable[..., None], name: str, at: int) -> None:
    try:
        function(name, dir_fd=at)
    except OSError:  # a folder where a link was thought, or one that still holds something
        return
