"""Commands on the vault: look again, say what it holds, and settle what two sides changed."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.commands.encoding import OPTIONAL
from orchestrator.commands.use import Use
from orchestrator.domain.errors import Conflict
from orchestrator.store import vault as store
from orchestrator.store.outbox import Topic, mark_changed
from orchestrator.vault.duty import VaultBehind
from orchestrator.vault.git.attribute import Attribution
from orchestrator.vault.git.in_effect import InEffect
from orchestrator.vault.git.state import ConflictFile, GitState, GitStatus, Keep
from orchestrator.vault.sync import SyncReport


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncVault:
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class VaultSynced:
    """Paths below the vault. `rejected` says what is wrong with each; what it defined before still holds."""

    accepted: tuple[str, ...]
    rejected: Mapping[str, str]
    removed: tuple[str, ...]
    unchanged: int
    warnings: Mapping[str, tuple[str, ...]] = field(default_factory=dict, metadata=OPTIONAL)
    strays: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    """Directories of an old layout, which are never read."""
    seconds: float
    git: GitStatus | None = field(default=None, metadata=OPTIONAL)
    """How the cycle with the remote ended; left out when the vault is no clone."""
    behind: str | None = field(default=None, metadata=OPTIONAL)
    """Why nothing was read: the clone lacks the commit in effect. Left out when it has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LookAtVault:
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentStatus:
    path: str
    kind: str
    id: str
    project_id: str | None
    error: str | None = None
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class VaultStatus:
    """As of the last look; `vault_sync` looks again."""

    path: Path
    count: int
    errors: int
    documents: tuple[DocumentStatus, ...]
    git: GitStatus | None = field(default=None, metadata=OPTIONAL)
    """How the last cycle with the remote ended; left out when the vault is no clone."""
    behind: str | None = field(default=None, metadata=OPTIONAL)
    """Why nothing is read: it is this clone's turn, and it lacks the commit in effect. Left out otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolveConflict:
    """`ours` is the vault's side, `theirs` the remote's."""

    path: str
    keep: Keep


@dataclass(frozen=True, kw_only=True, slots=True)
class ConflictResolved:
    """`remaining` are the files that are still to be decided; without any, the next sync goes through."""

    resolved: str
    keep: Keep
    remaining: tuple[str, ...]


async def vault_sync(use: Use, request: SyncVault) -> VaultSynced:
    """Exchange edits with the remote when the vault is a clone, then read it and record what changed."""
    del request
    await use.lead()
    in_effect = InEffect(use.database)
    git = None if use.git is None else await asyncio.to_thread(use.git.run_once, await in_effect.ask())
    try:
        report = await use.sync()
    except VaultBehind as error:
        return replace(_synced(SyncReport(), _known(git)), behind=str(error))
    if use.git is not None and git is not None and _known(git) is not None:
        await Attribution(use.database, use.git).look()
        await in_effect.record(git)
    return _synced(report, _known(git))


async def look_at_remote(use: Use) -> None:
    """Sync here, or where another host's vault defines the profiles, have that host look at its remote.

    Whether it does nobody waits for: what it finds is in its own status. Raises what `vault_sync` does.
    """
    try:
        await use.lead()
    except Conflict:
        await use.database.run(mark_changed, Topic.REMOTE)
        return
    await vault_sync(use, SyncVault())


async def vault_status(use: Use, request: LookAtVault) -> VaultStatus:
    """Say what the vault held when it was last read, what is wrong with it, and how the remote stands."""
    del request
    git = None if use.git is None else await asyncio.to_thread(use.git.status)
    known = await use.database.read(store.known)
    documents = tuple(
        DocumentStatus(
            path=path,
            kind=entry.document.kind,
            id=entry.document.id,
            project_id=entry.document.project_id,
            error=entry.error,
            warnings=entry.warnings,
        )
        for path, entry in sorted(known.documents.items())
    )
    return VaultStatus(
        path=use.host.vault,
        count=len(documents),
        errors=sum(1 for document in documents if document.error is not None),
        documents=documents,
        git=_known(git),
        behind=await use.behind(),
    )


async def vault_resolve(use: Use, request: ResolveConflict) -> ConflictResolved:
    """Decide which side of a file in conflict is kept; the next sync acts on it once all are decided."""
    if use.git is None:
        raise Conflict("The vault is not synced with a remote; nothing was changed.")
    files: tuple[ConflictFile, ...] = await asyncio.to_thread(use.git.resolve, request.path, request.keep)
    return ConflictResolved(
        resolved=request.path,
        keep=request.keep,
        remaining=tuple(file.path for file in files if file.keep is None),
    )


def _known(git: GitStatus | None) -> GitStatus | None:
    return None if git is None or git.state is GitState.OFF else git


def _synced(report: SyncReport, git: GitStatus | None) -> VaultSynced:
    return VaultSynced(
        accepted=report.accepted,
        rejected=report.rejected,
        removed=report.removed,
        unchanged=report.unchanged,
        warnings=report.warnings,
        strays=report.strays,
        seconds=report.seconds,
        git=git,
    )
