"""Bringing the database in step with the vault."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import structlog

from orchestrator.domain.errors import Conflict
from orchestrator.domain.tools import EMBEDDED_NAMES
from orchestrator.domain.vault import Accepted, Document, Rejected, VaultChanges, VaultKnown
from orchestrator.store import vault as store
from orchestrator.store import vault_commit
from orchestrator.store.database import Database, Transaction
from orchestrator.vault import document, server_document
from orchestrator.vault.duty import Candidate, VaultBehind, must_take
from orchestrator.vault.files import FileFound, Tree, VaultUnavailable, read_tree
from orchestrator.vault.layout import Address, place_of
from orchestrator.vault.plan import after, decide, digest_of, document_at, is_good, to_parse
from orchestrator.vault.problem import Rejected as Unusable

log = structlog.get_logger()

SETTLED_NS: Final = 2_000_000_000
"""A file changed less than this before it was read may change again without a new stamp: file systems
count time in steps of up to two seconds."""

TRIES: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncReport:
    """What one look at the vault found and changed.

    Each name is a path below the vault's root. `rejected` has every document that cannot be used now,
    whether that is news or not; what it defined before still holds. `strays` are directories of an old
    layout, which are never read.
    """

    accepted: tuple[str, ...] = ()
    rejected: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    unchanged: int = 0
    warnings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    strays: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def changed(self) -> bool:
        return bool(self.accepted or self.removed)


class _InEffect(Exception):
    """Of this commit it is not known yet whether the vault has it. Never leaves the module."""

    def __init__(self, commit: str) -> None:
        super().__init__(commit)
        self.commit = commit


class VaultSync:
    """Keeps what lets a look at an unchanged vault cost next to nothing: stamps and digests of its files.

    Whatever is forgotten or never known is read again, so a fresh one gives the same result.
    """

    def __init__(
        self,
        root: Path,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        known_tools: Collection[str] = EMBEDDED_NAMES,
        candidate: Candidate | None = None,
        lacks: Callable[[str], str | None] | None = None,
    ) -> None:
        """With `candidate`, nothing is written while another host's vault defines the profiles. With `lacks`
        nor is it while the vault does not have the commit in effect: it says why not, and what to do."""
        self.root = root
        self._database = database
        self._clock = clock
        self._known_tools = known_tools
        self._candidate = candidate
        self._lacks = lacks
        self._has: str | None = None
        """The commit in effect that the vault was found to have; whoever has had it is not behind."""
        self._said: str | None = None
        self._seen: dict[str, tuple[FileFound, str]] = {}
        self._known: tuple[int, VaultKnown] | None = None
        """What the database said last, and the stamp that tells whether it still says so."""
        self._lock = asyncio.Lock()
        self._first = True

    async def run_once(self) -> SyncReport:
        """Read the vault, compare it with the database and write the difference in one transaction.

        Calling it too often changes nothing. Raises VaultUnavailable, VaultBehind and Conflict, and then
        nothing was changed; a document that cannot be used is no error, but part of the report.
        """
        async with self._lock:
            started = time.perf_counter()
            for left in reversed(range(TRIES)):
                known = await self._ask()
                tree, changes = await asyncio.to_thread(self._look, known)
                changes = replace(changes, seconds=time.perf_counter() - started)
                try:
                    await self._write(known, changes)
                except VaultBehind:
                    raise
                except Conflict:
                    self._known = None
                    # Another process wrote the same difference first; what is left is seen by looking again.
                    if not left:
                        raise
                    continue
                report = _report(tree, changes, time.perf_counter() - started)
                _log(report, changes, everything=self._first)
                self._first = False
                return report
        raise AssertionError("the last try returns or raises")

    async def _ask(self) -> VaultKnown:
        """What the database knows: reading thousands of rows costs more than looking at their files."""
        before = self._known
        stamp, known = await self._database.read(store.known_unless, before[0] if before else None)
        if known is None and before is not None:
            return before[1]
        known = known or VaultKnown()
        self._known = (stamp, known)
        return known

    async def _write(self, known: VaultKnown, changes: VaultChanges) -> None:
        if changes.empty:
            return
        before, self._known = self._known, None  # whatever fails, it is asked anew
        count = await self._fenced(changes)
        written = after(known, changes)
        if before is None or written is None:
            return
        stamp = await self._database.read(store.stamp_after, before[0], count)
        self._known = None if stamp is None else (stamp, written)

    async def _fenced(self, changes: VaultChanges) -> int:
        """Raises VaultBehind; and Conflict when the vault turns out to have a commit that it was not asked
        about before: it may have got it after it was read."""
        try:
            return await self._database.run(self._apply, changes)
        except _InEffect as found:
            commit = found.commit
        assert self._lacks is not None
        if (why := await asyncio.to_thread(self._lacks, commit)) is None:
            self._has, self._said = commit, None
            raise Conflict(f"commit {commit} came into effect meanwhile; look again")
        if self._said != commit:
            self._said = commit
            log.warning("vault.behind", commit=commit, message=why)
        raise VaultBehind(why)

    def _apply(self, tx: Transaction, changes: VaultChanges) -> int:
        if self._candidate is not None:
            must_take(tx, self._candidate)
        if self._lacks is not None and (commit := vault_commit.in_effect(tx)) not in (None, self._has):
            raise _InEffect(commit)
        return store.apply(tx, changes, self._clock())

    def _look(self, known: VaultKnown) -> tuple[Tree, VaultChanges]:
        """Everything that reads files or takes long; runs in a thread."""
        settled = {path: file for path, (file, digest) in self._seen.items() if is_good(known, path, digest)}
        tree = read_tree(self.root, settled)
        if tree.empty and known.documents:
            # An empty directory where a vault has been is rather a mount that is missing.
            raise VaultUnavailable(
                f"The vault at {self.root} is empty, but was not before; nothing was changed. "
                "Check that it is mounted; if it is meant to be empty, put a README.md into it."
            )
        digests = {path: self._digest(file) for path, file in tree.files.items()}
        to_look_at = to_parse(digests, known)
        results = [self._parse(tree.files[path], digests[path], _before(path, known)) for path in to_look_at]
        problems = [_problem(path, error, known) for path, error in sorted(tree.problems.items())]
        untouched = digests.keys() - set(to_look_at)
        self._remember(tree, digests)
        return tree, decide([*results, *problems], untouched, known, tree.unreadable)

    def _digest(self, file: FileFound) -> str:
        return self._seen[file.path][1] if file.data is None else digest_of(file.data)

    def _remember(self, tree: Tree, digests: Mapping[str, str]) -> None:
        recent = time.time_ns() - SETTLED_NS
        seen = {}
        for path, file in tree.files.items():
            if file.data is None:
                seen[path] = self._seen[path]
            elif max(file.stamp.modified_ns, file.stamp.changed_ns) < recent:
                seen[path] = (replace(file, data=None), digests[path])
        self._seen = seen

    def _parse(self, file: FileFound, digest: str, before: str | None) -> Accepted | Rejected:
        where, address, data = document_at(file.path, file.address), file.address, file.data or b""
        result: document.Parsed | server_document.ParsedServer | Unusable
        if address.kind == "profile":
            result = document.parse(
                data,
                profile_id=address.id,
                overlay=address.project_id is not None,
                known_tools=self._known_tools,
            )
        else:
            result = server_document.parse(data, name=address.id, project_id=address.project_id)
        warnings = tuple(str(warning) for warning in result.warnings)
        if isinstance(result, Unusable):
            error = "\n".join(str(problem) for problem in result.errors)
            return Rejected(document=where, digest=digest, error=error, warnings=warnings, before=before)
        definition = result.profile if isinstance(result, document.Parsed) else result.server
        return Accepted(
            document=where, digest=digest, definition=definition, warnings=warnings, before=before
        )


def _before(path: str, known: VaultKnown) -> str | None:
    before = known.documents.get(path)
    return None if before is None else before.digest


def _problem(path: str, error: str, known: VaultKnown) -> Rejected:
    """A file that was not even read. Its digest is empty, so that it is looked at again."""
    place = place_of(path)
    if isinstance(place, Address):
        where = document_at(path, place)
    else:
        where = Document(path=path, kind="mcp_server" if "mcp-servers" in path else "profile", id="")
    return Rejected(document=where, digest="", error=error, before=_before(path, known))


def _report(tree: Tree, changes: VaultChanges, seconds: float) -> SyncReport:
    rejected = {item.document.path: item.error for item in changes.rejected}
    rejected |= {item.document.path: item.error or "" for item in changes.refused}
    looked_at: tuple[Accepted | Rejected, ...] = (*changes.accepted, *changes.rejected)
    return SyncReport(
        accepted=tuple(sorted(item.document.path for item in changes.accepted)),
        rejected=dict(sorted(rejected.items())),
        removed=tuple(item.document.path for item in changes.removed),
        unchanged=changes.unchanged,
        warnings={item.document.path: item.warnings for item in looked_at if item.warnings},
        strays=tuple(sorted(tree.strays)),
        seconds=seconds,
    )


def _log(report: SyncReport, changes: VaultChanges, *, everything: bool) -> None:
    """Say what is news; at start-up also what is still wrong."""
    news = {item.document.path for item in changes.rejected}
    for path, error in report.rejected.items():
        if everything or path in news:
            log.warning("vault.document_rejected", path=path, error=error)
    for path in report.strays if everything else ():
        log.warning("vault.stray_found", path=path)
    if everything or not changes.empty:
        log.info(
            "vault.synced",
            accepted=len(report.accepted),
            rejected=len(report.rejected),
            removed=len(report.removed),
            unchanged=report.unchanged,
            seconds=round(report.seconds, 3),
        )
