"""A look at every event that a test's own process records: its type and members are those of the list.

So what readers are promised is held against what really happens, in all tests of the store, the worker, the
vault and the commands, and not against examples. Tests that make events up are marked `made_up_events`.
"""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from orchestrator.domain.event import Event
from orchestrator.domain.known_events import BY_NAME
from orchestrator.store import database, outbox


def complaint(event: Event) -> str | None:
    """What is wrong with the event, or nothing."""
    known = BY_NAME.get(event.kind)
    if known is None:
        return f"{event.kind} is not among the known events"
    if missing := set(known.fields) - event.data.keys():
        return f"{event.kind} lacks {sorted(missing)}"
    if surplus := event.data.keys() - {*known.fields, *known.sometimes}:
        return f"{event.kind} has {sorted(surplus)}, of which the list says nothing"
    return None


@pytest.fixture(autouse=True)
def known_events(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.node.get_closest_marker("made_up_events"):
        yield
        return
    complaints: set[str] = set()
    flush = database.flush

    def looked_at(tx: Connection) -> None:
        recorded = outbox._of(tx).events
        complaints.update(filter(None, map(complaint, recorded)))
        flush(tx)

    monkeypatch.setattr(database, "flush", looked_at)
    yield
    assert not complaints
