"""A project: the tenant that owns tasks, defaults and limits."""

from dataclasses import dataclass
from enum import StrEnum


class CheckoutKind(StrEnum):
    EMPTY = "empty"
    """A fresh, empty directory per task."""
    DIRECTORY = "directory"
    """The project's own directory, one attempt at a time in it."""
    WORKTREE = "worktree"
    """A git worktree per task, on its own branch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    id: str
    name: str
    created_at: float
    updated_at: float
    default_profile_id: str | None = None
    weight: float = 1.0
    """Share of the slots relative to other projects."""
    max_concurrent: int | None = None
    """Attempts at once; `None` is no limit of its own."""
    budget_usd_per_day: float | None = None
    repository: str | None = None
    """A directory or a git repository, absolute path; `None` gives each task an empty directory."""
    checkout: CheckoutKind = CheckoutKind.EMPTY
    paused: bool = False
    requires: tuple[str, ...] = ()
    """Labels that a worker must have to take its tasks, sorted."""
    budget_tokens_per_day: int | None = None
