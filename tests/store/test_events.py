"""Events: recorded with the change they tell of, in an order that a reader can resume from."""

import asyncio
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete

from orchestrator.domain.event import Event
from orchestrator.store import events
from orchestrator.store.columns import Json, Prose
from orchestrator.store.database import Database, open_database
from orchestrator.store.tables import events as table

pytestmark = pytest.mark.made_up_events


def fact(kind: str = "task.created", **fields: object) -> Event:
    return Event(**{"kind": kind, "subject": "task/t", "at": 1.5, **fields})  # type: ignore[arg-type]


def kinds(database: Database, last: int = 0, **filters: object) -> list[str]:
    found = database.read_sync(lambda tx: events.after(tx, last, **filters))  # type: ignore[arg-type]
    return [stored.event.kind for stored in found]


def test_an_event_comes_back_as_it_was_recorded(database: Database) -> None:
    told = fact(data={"n": 1, "text": "a\0b ü \ud800", "deep": [{"x": None}]}, project_id="acme", task_id="t")
    database.run_sync(events.append, told)
    (stored,) = database.read_sync(events.after, 0)
    assert stored.event == told


def test_what_is_rolled_back_was_never_told(database: Database) -> None:
    def half(tx: Connection) -> None:
        events.append(tx, fact("never.happened"))
        raise LookupError

    with pytest.raises(LookupError):
        database.run_sync(half)
    database.run_sync(lambda tx: None)  # on the same connection
    assert kinds(database) == []


def test_a_reader_resumes_after_the_last_one_it_saw(database: Database) -> None:
    database.run_sync(events.append, *(fact(f"k.{number}") for number in range(5)))
    first = database.read_sync(lambda tx: events.after(tx, 0, limit=2))
    assert [stored.event.kind for stored in first] == ["k.0", "k.1"]
    assert kinds(database, first[-1].id) == ["k.2", "k.3", "k.4"]
    assert kinds(database, database.read_sync(events.last_id)) == []


def test_a_reader_sees_what_it_asked_for(database: Database) -> None:
    database.run_sync(events.append, fact("a", project_id="x"), fact("b", task_id="t"), fact("c"))
    assert kinds(database, project_id="x") == ["a"]
    assert kinds(database, task_id="t") == ["b"]
    assert kinds(database, kinds=["c", "a"]) == ["a", "c"]


def test_an_id_is_never_given_twice(database: Database) -> None:
    database.run_sync(events.append, fact("old"))
    last = database.read_sync(events.last_id)
    database.run_sync(lambda tx: tx.execute(delete(table)))
    database.run_sync(events.append, fact("new"))
    assert kinds(database, last) == ["new"]


@pytest.mark.postgres
def test_a_slow_transaction_is_not_overtaken_by_ids(postgres_url: str) -> None:
    """The one that recorded first and commits last must not appear behind a reader's back."""
    recorded, leave = threading.Event(), threading.Event()

    def slow(tx: Connection) -> None:
        events.append(tx, fact("slow"))
        recorded.set()
        assert leave.wait(60)

    async def race(database: Database) -> tuple[list[str], list[str]]:
        late = asyncio.create_task(database.run(slow))
        await asyncio.to_thread(recorded.wait, 10)
        await database.run(events.append, fact("quick"))
        first = await database.read(events.after, 0)
        leave.set()
        await late
        rest = await database.read(events.after, first[-1].id)
        return [one.event.kind for one in first], [one.event.kind for one in rest]

    with open_database(postgres_url) as database:
        assert asyncio.run(race(database)) == (["quick"], ["slow"])


def test_many_writers_never_show_a_smaller_id_after_a_greater_one(database: Database) -> None:
    async def write_and_read() -> list[int]:
        seen: list[int] = []

        async def follow() -> None:
            while len(seen) < 120:
                last = seen[-1] if seen else 0
                seen.extend([one.id for one in await database.read(events.after, last)])

        async def write() -> None:
            for _ in range(20):
                await database.run(events.append, fact("a"), fact("b"))

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(follow())
            for _ in range(3):
                group.create_task(write())
        return seen

    seen = asyncio.run(write_and_read())
    assert seen == sorted(set(seen))
    assert len(seen) == 120


documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(documents)
def test_every_json_document_comes_back_equal_and_can_be_encoded(document: object) -> None:
    column = Json()
    stored = column.process_bind_param(document, None)  # type: ignore[arg-type]
    if document is None:
        assert stored is None
        return
    assert stored is not None
    stored.encode()
    assert "\0" not in stored
    assert column.process_result_value(stored, None) == document  # type: ignore[arg-type]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters()))
def test_every_text_of_an_agent_can_be_stored(said: str) -> None:
    stored = Prose().process_bind_param(said, None)  # type: ignore[arg-type]
    assert stored is not None
    stored.encode()
    assert "\0" not in stored
    assert "\0" in said or not said.isprintable() or stored == said
