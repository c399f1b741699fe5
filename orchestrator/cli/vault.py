"""`orchestrator vault sync`, `status`."""

from collections.abc import Iterator

from rich.console import RenderableType

from orchestrator.cli import exit_codes, output
from orchestrator.cli.session import call
from orchestrator.commands import vault


def sync() -> int:
    """Read the vault and record what changed; 1 when a document cannot be used."""
    found = call(vault.vault_sync, vault.SyncVault())
    output.show(found, _synced)
    return exit_codes.FAILED if found.rejected else exit_codes.OK


def status() -> None:
    """Say what the vault held when it was last read, and what is wrong with it."""
    output.show(call(vault.vault_status, vault.LookAtVault()), _status)


def _synced(found: vault.VaultSynced) -> Iterator[RenderableType]:
    for path in found.accepted:
        yield output.text(f"read      {path}")
    for path in found.removed:
        yield output.text(f"gone      {path}")
    for path, error in found.rejected.items():
        yield output.text(f"unusable  {path}: {error}", "red")
    for path, said in found.warnings.items():
        yield from output.warnings(f"{path}: {line}" for line in said)
    for path in found.strays:
        yield from output.warnings([f"{path} is of an old layout and never read"])
    yield output.text(
        f"{len(found.accepted)} changed, {len(found.removed)} gone, {len(found.rejected)} unusable, "
        f"{found.unchanged} unchanged, in {found.seconds:.2f} s"
    )


def _status(found: vault.VaultStatus) -> Iterator[RenderableType]:
    yield output.text(f"{found.path}: {found.count} documents, {found.errors} unusable", "bold")
    rows = (
        (document.path, output.text("unusable", "red") if document.error else "ok", document.error or "")
        for document in found.documents
    )
    yield output.table(("document", "", "problem"), rows)
