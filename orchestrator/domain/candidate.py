"""A task that might be started next, as far as deciding that needs to know it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One of the first waiting tasks of its project; a lower priority number goes first."""

    id: str
    project_id: str
    profile_id: str | None
    priority: int
    created_at: float
    by_agent: bool = False
    """Whether an agent asked for it, which had rights of its own."""
    requires: str | None = None
    """The labels that its worker must have, as they are stored; tasks that agree in them wait in one line."""
