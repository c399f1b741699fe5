"""Facts in the past tense, as the outbox keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A fact to be recorded in the transaction that makes it true.

    `kind` is dotted and in the past tense (`task.created`, `profile.applied`); `subject` is what it is about
    (`task/<id>`, `task/<id>/attempt/<n>`, `profile/<id>`).
    """

    kind: str
    subject: str
    at: float
    data: Mapping[str, Any] = field(default_factory=dict)
    project_id: str | None = None
    task_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEvent:
    """An event with the growing id under which a reader can resume."""

    id: int
    event: Event
