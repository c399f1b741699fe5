"""`orchestrator vault sync`, `status`, `resolve`."""

import shlex
from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import exit_codes, hints, output
from orchestrator.cli.session import call
from orchestrator.commands import vault
from orchestrator.vault.git.state import GitState, GitStatus, Keep

Path = Annotated[str, Parameter(help="The file, below the vault.")]
Side = Annotated[Keep, Parameter(help="ours is this vault's, theirs the remote's.")]


def sync() -> int:
    """Exchange edits with the remote when the vault is a clone, then read it and record what changed; 1 when
    a document cannot be used or the remote's side could not be joined with ours."""
    # What it would log as a warning is in its answer.
    found = call(vault.vault_sync, vault.SyncVault(), log="error")
    output.show(found, _synced)
    apart = found.git is not None and found.git.state is not GitState.SYNCED
    return exit_codes.FAILED if found.rejected or found.behind or apart else exit_codes.OK


def status() -> None:
    """Say what the vault held when it was last read, and what is wrong with it."""
    output.show(call(vault.vault_status, vault.LookAtVault()), _status)


def resolve(path: Path, *, keep: Side) -> None:
    """Keep our side or theirs of a file that both changed; `vault sync` acts once all are decided."""
    output.show(call(vault.vault_resolve, vault.ResolveConflict(path=path, keep=keep)), _resolved)


def _resolved(found: vault.ConflictResolved) -> Iterator[RenderableType]:
    yield output.text(f"{found.resolved}: {found.keep} is kept")
    for path in found.remaining:
        yield output.text(f"undecided {path}", "yellow")
    if not found.remaining:
        yield output.hint("the worker goes on with it by itself; at once", hints.typed("vault sync"))


def _git(status: GitStatus | None) -> Iterator[RenderableType]:
    if status is None:
        return
    style = "" if status.state is GitState.SYNCED else "yellow"
    where = f"{status.remote} {status.branch}: " if status.remote else ""
    counts = f", {status.ahead} to push, {status.behind} to take" if status.ahead or status.behind else ""
    yield output.text(f"remote    {where}{status.state.value}{counts}", style)
    if status.message:
        yield output.text(f"          {status.message}", style)
    for file in status.conflicts:
        decided = f"{file.keep} is kept" if file.keep else "undecided; keep ours or theirs"
        yield output.text(f"conflict  {file.path}: {decided}", style)
        if not file.keep:
            settle = f"vault resolve {shlex.quote(file.path)} --keep=theirs"
            yield output.hint("          such as", hints.typed(settle), style)
    yield from output.warnings(status.notes)


def _behind(message: str | None) -> Iterator[RenderableType]:
    if message is not None:
        yield output.text(f"behind    {message}", "yellow")


def _synced(found: vault.VaultSynced) -> Iterator[RenderableType]:
    yield from _git(found.git)
    yield from _behind(found.behind)
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
    yield from _git(found.git)
    yield from _behind(found.behind)
    rows = (
        (document.path, output.text("unusable", "red") if document.error else "ok", document.error or "")
        for document in found.documents
    )
    yield output.table(("document", "", "problem"), rows)
