"""Writing beside each revision of a profile which commit brought it."""

import asyncio
import itertools
from collections import defaultdict
from typing import Final

from orchestrator.store import revisions
from orchestrator.store.database import Database
from orchestrator.store.revisions import Origin, Revision
from orchestrator.vault.git.cycle import GitVault
from orchestrator.vault.layout import Address, path_of

AT_ONCE: Final = 20_000


class Attribution:
    """Looks at each revision until a cycle that began after it was accepted has gone through: what is in no
    commit then was replaced before it could get into one."""

    def __init__(self, database: Database, vault: GitVault) -> None:
        self._database = database
        self._vault = vault
        self._after = 0

    async def look(self) -> int:
        """Returns for how many revisions a commit was found. Raises DatabaseUnavailable."""
        found = await self._database.read(revisions.without_commit, after=self._after, limit=AT_ONCE)
        if not found:
            return 0
        wanted: defaultdict[str, set[str]] = defaultdict(set)
        for revision in found:
            wanted[_path(revision)].add(revision.digest)
        synced_at, brought = await asyncio.to_thread(self._vault.origins, wanted)
        origins = [
            Origin(id=revision.id, commit=known.commit, author=known.author)
            for revision in found
            if (known := brought.get((_path(revision), revision.digest))) is not None
        ]
        if origins:
            await self._database.run(revisions.record_commits, origins)
        for revision in itertools.takewhile(lambda one: one.accepted_at < synced_at, found):
            self._after = revision.id
        return len(origins)


def _path(revision: Revision) -> str:
    return path_of(Address(kind="profile", id=revision.profile_id, project_id=revision.project_id))
