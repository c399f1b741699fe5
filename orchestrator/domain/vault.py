"""What the database knows of the vault, and what a look at the vault changes in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.domain.mcp import McpServer
from orchestrator.domain.profile import AgentProfile

DocumentKind = Literal["profile", "mcp_server"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A document of the vault: its path below the vault's root, and what that place defines.

    `id` is empty for a file in the place of a document whose name is not an id.
    """

    path: str
    kind: DocumentKind
    id: str
    project_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownDocument:
    """A document as last read. `digest` is of its bytes, empty when they could not be read; with an `error`
    the definition before it still holds."""

    document: Document
    digest: str
    error: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class VaultKnown:
    """All documents by path, and the name that each system profile has now, by id, whatever its source."""

    documents: Mapping[str, KnownDocument] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """A new or changed document that is good. `before` is the digest this was decided on, if any."""

    document: Document
    digest: str
    definition: AgentProfile | McpServer
    warnings: tuple[str, ...] = ()
    before: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """A document that cannot be used; what it said before still holds."""

    document: Document
    digest: str
    error: str
    warnings: tuple[str, ...] = ()
    before: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Removed:
    """A document that is not there any more."""

    document: Document
    before: str


@dataclass(frozen=True, kw_only=True, slots=True)
class VaultChanges:
    """The difference between the vault and the database, to be written at once.

    `refused` are documents whose rejection is known already; `unchanged` counts the good ones.
    """

    accepted: tuple[Accepted, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    removed: tuple[Removed, ...] = ()
    refused: tuple[KnownDocument, ...] = ()
    unchanged: int = 0
    seconds: float = 0.0
    """What reading and comparing took."""

    @property
    def empty(self) -> bool:
        return not (self.accepted or self.rejected or self.removed)
