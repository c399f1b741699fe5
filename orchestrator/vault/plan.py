"""What to change so that the database says what the vault says."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from orchestrator.domain.vault import (
    Accepted,
    Document,
    KnownDocument,
    Rejected,
    Removed,
    VaultChanges,
    VaultKnown,
)
from orchestrator.vault.layout import Address

FORMAT: Final = "1"
"""Raised when the same bytes are read differently, so that every document is looked at again."""


def digest_of(data: bytes) -> str:
    """What tells one version of a document from another."""
    return f"{FORMAT}:{hashlib.sha256(data).hexdigest()}"


def document_at(path: str, address: Address) -> Document:
    return Document(path=path, kind=address.kind, id=address.id, project_id=address.project_id)


def to_parse(digests: Mapping[str, str], known: VaultKnown) -> list[str]:
    """Paths whose document is new, has changed, or was not usable: the reason may have been another
    document, which has changed since. In order, so that the same vault always gives the same result."""
    return sorted(path for path, digest in digests.items() if not is_good(known, path, digest))


def is_good(known: VaultKnown, path: str, digest: str) -> bool:
    """Whether the document is stored as it is, and was usable."""
    document = known.documents.get(path)
    return document is not None and document.error is None and document.digest == digest


def decide(
    looked_at: Iterable[Accepted | Rejected],
    untouched: Collection[str],
    known: VaultKnown,
    unreadable: Collection[str] = (),
) -> VaultChanges:
    """The difference to write.

    `untouched` are the paths of documents that are as good as they were. Of documents beneath a directory
    of `unreadable` nothing is known, so they stay as they are.
    """
    results = list(looked_at)
    seen = {result.document.path for result in results}.union(untouched)
    gone = [path for path in known.documents if path not in seen and not _is_beneath(path, unreadable)]
    removed = [_removed(known.documents[path]) for path in sorted(gone)]
    names = _names_kept(known, removed)
    accepted, doubles = _without_doubles([r for r in results if isinstance(r, Accepted)], names)
    rejected = [*(result for result in results if isinstance(result, Rejected)), *doubles]
    repeated = [result for result in rejected if _is_known(result, known)]
    return VaultChanges(
        accepted=tuple(accepted),
        rejected=tuple(sorted((r for r in rejected if not _is_known(r, known)), key=_path)),
        removed=tuple(removed),
        refused=tuple(known.documents[result.document.path] for result in sorted(repeated, key=_path)),
        unchanged=len(untouched),
    )


def after(known: VaultKnown, changes: VaultChanges) -> VaultKnown | None:
    """What is known once these changes are written; `None` when it has to be asked, since a removed profile
    gets a name of the database's own."""
    if changes.removed:
        return None
    results: list[Accepted | Rejected] = [*changes.accepted, *changes.rejected]
    documents = {
        item.document.path: KnownDocument(
            document=item.document,
            digest=item.digest,
            error=item.error if isinstance(item, Rejected) else None,
            warnings=item.warnings,
        )
        for item in results
    }
    system = [item for item in changes.accepted if _is_system_profile(item.document)]
    names = {item.document.id: item.definition.name for item in system}
    return VaultKnown(documents={**known.documents, **documents}, names={**known.names, **names})


def _names_kept(known: VaultKnown, removed: Iterable[Removed]) -> Mapping[str, str]:
    """Names by profile id, without those that are free again."""
    gone = {item.document.id for item in removed if _is_system_profile(item.document)}
    return {id: name for id, name in known.names.items() if id not in gone}


def _without_doubles(
    accepted: list[Accepted], names: Mapping[str, str]
) -> tuple[list[Accepted], list[Rejected]]:
    """Of system profiles with the same name the one that has it keeps it, or the first by path gets it.

    A profile that is turned away keeps the name it had, which may turn away another: repeat until it holds.
    """
    doubles: dict[str, Rejected] = {}
    while True:
        live = [item for item in accepted if item.document.path not in doubles]
        named = [item for item in live if _is_system_profile(item.document)]
        named.sort(key=lambda item: (names.get(item.document.id) != item.definition.name, _path(item)))
        renamed = {item.document.id for item in named}
        holders = {name: id for id, name in names.items() if id not in renamed}
        more: dict[str, Rejected] = {}
        for item in named:
            holder = holders.setdefault(item.definition.name, item.document.id)
            if holder != item.document.id:
                more[item.document.path] = _double(item, holder)
        if not more:
            return live, list(doubles.values())
        doubles |= more


def _double(item: Accepted, holder: str) -> Rejected:
    message = f"the name '{item.definition.name}' is that of the profile '{holder}' already; choose another"
    return Rejected(
        document=item.document,
        digest=item.digest,
        error=message,
        warnings=item.warnings,
        before=item.before,
    )


def _is_system_profile(document: Document) -> bool:
    return document.kind == "profile" and document.project_id is None


def _path(result: Accepted | Rejected) -> str:
    return result.document.path


def _is_known(result: Rejected, known: VaultKnown) -> bool:
    before = known.documents.get(result.document.path)
    return before is not None and before.error == result.error and before.digest == result.digest


def _is_beneath(path: str, directories: Collection[str]) -> bool:
    return any(path.startswith(f"{directory}/") for directory in directories)


def _removed(known: KnownDocument) -> Removed:
    return Removed(document=known.document, before=known.digest)
