"""Commands on the vault: look again, and say what it holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.commands.encoding import OPTIONAL
from orchestrator.commands.use import Use
from orchestrator.store import vault as store
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


async def vault_sync(use: Use, request: SyncVault) -> VaultSynced:
    """Read the vault and record what changed."""
    del request
    return _synced(await use.sync())


async def vault_status(use: Use, request: LookAtVault) -> VaultStatus:
    """Say what the vault held when it was last read, and what is wrong with it."""
    del request
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
    )


def _synced(report: SyncReport) -> VaultSynced:
    return VaultSynced(
        accepted=report.accepted,
        rejected=report.rejected,
        removed=report.removed,
        unchanged=report.unchanged,
        warnings=report.warnings,
        strays=report.strays,
        seconds=report.seconds,
    )
