"""Events as the world reads them: CloudEvents 1.0."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from orchestrator.domain.event import Event, StoredEvent

SOURCE: Final = "/orchestrator"
"""Where our events come from; with it, an event's id is unique."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which events someone reads. `types` are whole names, or beginnings followed by `*`; none: all."""

    types: tuple[str, ...] = ()
    project_id: str | None = None
    task_id: str | None = None

    def __contains__(self, event: Event) -> bool:
        if self.project_id is not None and event.project_id != self.project_id:
            return False
        if self.task_id is not None and event.task_id != self.task_id:
            return False
        return not self.types or any(fits(wanted, event.kind) for wanted in self.types)


def wanted_types(given: Iterable[str]) -> tuple[str, ...]:
    """Types from what a person gives: repeated, or with commas between them."""
    return tuple(part for text in given for part in (piece.strip() for piece in text.split(",")) if part)


def cloud_event(stored: StoredEvent) -> dict[str, Any]:
    """The event in the JSON format of CloudEvents; the project and the task are extension attributes."""
    event = stored.event
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(stored.id),
        "source": SOURCE,
        "type": event.kind,
        "subject": event.subject,
        "time": datetime.fromtimestamp(event.at, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": dict(event.data),
    }
    if event.project_id is not None:
        document["projectid"] = event.project_id
    if event.task_id is not None:
        document["taskid"] = event.task_id
    return document


def gap(*, after: int, first: int, now: float) -> StoredEvent:
    """What a reader is told who resumes after an event whose followers were removed, before those from
    `first` on. It is stored nowhere; whoever resumes from its id is not told again."""
    said = Event(kind="events.gap", subject="events", at=now, data={"after": after, "first": first})
    return StoredEvent(id=first - 1, event=said)


def fits(wanted: str, kind: str) -> bool:
    """Whether a type is the one wanted, or begins like it."""
    return kind.startswith(wanted[:-1]) if wanted.endswith("*") else kind == wanted
