"""Turns: what a worker takes by one question, and when it leaves everything to a whole one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from orchestrator.domain.limit import Limit, LimitScope, Place
from orchestrator.domain.project import CheckoutKind, Project
from orchestrator.domain.provider import Backoff
from orchestrator.domain.task import NewTask, Task
from orchestrator.store import attempts, backoffs, limits, projects, tasks
from orchestrator.store.database import Database, Transaction, open_database
from orchestrator.store.lone import Question, claim_here, claim_lone
from orchestrator.store.outbox import mark_rules_changed
from orchestrator.store.wake import Listener
from orchestrator.worker.admission import Verdict
from orchestrator.worker.basis import Counsel, Order, Turned
from orchestrator.worker.turn import turn
from orchestrator.worker.turns import IN_HAND_SECONDS, PRECEDENTS, Turns
from turns import Asking, counsel, order

NOW = 100.0
PLACE = Place(host="here", profile_id="coder", model="opus")
AWAY = Backoff(reason="rate_limited", message="Slow down.", until=9e9)


@pytest.fixture
def shared(postgres_url: str) -> Any:
    """A database on PostgreSQL."""
    with open_database(postgres_url) as database:
        yield database


def make(database: Database, project: str = "acme", **fields: Any) -> None:
    made = Project(id=project, name=project, created_at=1.0, updated_at=1.0)
    database.run_sync(projects.create, replace(made, **fields))


def ask(database: Database, *ids: str, project: str = "acme", **fields: Any) -> None:
    for task_id in ids:
        wanted = NewTask(project_id=project, title="T", prompt="Do it.", **fields)
        database.run_sync(tasks.create, wanted, task_id=task_id, now=1.0)


def rules(database: Database) -> int:
    version = text("SELECT coalesce((SELECT version FROM rules), 0)")
    return database.read_sync(lambda tx: int(tx.execute(version).scalar_one()))


def claimed(database: Database, **fields: Any) -> str | None:
    """The task that one question claims, by a precedent for the project `acme`."""
    given = {"labelled": False, "rules": rules(database), "precedents": {("acme", None): PLACE}, "now": NOW}
    question = Question(**{"worker": "w1", "lease_seconds": 30.0, **given, **fields})
    if database.dialect == "postgresql":
        found = asyncio.run(claim_lone(Asking(database.run_sync), question))
        assert found is not None
    else:
        found = database.run_sync(claim_here, question)
    return None if found.claim is None else found.claim.task.id


def test_a_task_that_comes_alone_is_claimed_as_one_like_it_was(database: Database) -> None:
    make(database)
    ask(database, "a", labels={"kind": "bug", "note": "50% é"}, priority=7)
    assert claimed(database) == "a"
    task = database.read_sync(tasks.get, "a")
    assert task is not None
    assert (task.state.value, task.claimed_by, task.lease_until) == ("ASSIGNED", "w1", NOW + 30.0)
    (attempt,) = database.read_sync(attempts.of_task, "a")
    assert (attempt.worker, attempt.number, attempt.started_at) == ("w1", 1, NOW)
    assert database.read_sync(limits.running) == [(PLACE, 1)]
    assert claimed(database) is None


async def heard(database: Database, listener: Listener) -> None:
    """Until the listener is there, where it has to be connected first."""
    if database.dialect == "postgresql":
        assert await listener.wait(30)


@pytest.mark.postgres
def test_what_is_read_on_a_line_is_what_the_driver_reads(shared: Database) -> None:
    fields = {
        "labels": {"kind": "bug", "note": "50% é"},
        "max_attempts": 5,
        "timeout_seconds": 1.5,
        "profile_id": None,
    }
    make(shared)
    ask(shared, "a", **fields)

    async def asked() -> Task | None:
        async with shared.listener() as listener:
            await heard(shared, listener)
            question = Question(
                worker="w1",
                lease_seconds=30.0,
                labelled=False,
                rules=rules(shared),
                precedents={("acme", None): PLACE},
            )
            found = await claim_lone(listener, question)
        assert found is not None
        assert found.claim is not None
        assert found.claim.lease_until == found.at + 30.0
        return found.claim.task

    assert asyncio.run(asked()) == shared.read_sync(tasks.get, "a")


@pytest.mark.parametrize(
    ("project", "task", "question"),
    [
        ({"max_concurrent": 2}, {}, {}),
        ({"budget_usd_per_day": 1.0}, {}, {}),
        ({"budget_tokens_per_day": 1}, {}, {}),
        ({"checkout": CheckoutKind.DIRECTORY, "repository": "/srv/shop"}, {}, {}),
        ({"requires": ("gpu",)}, {}, {"labelled": True}),
        ({"paused": True}, {}, {}),
        ({}, {"requires": ("gpu",)}, {}),
        ({}, {"requires": ("gpu",)}, {"labelled": True}),
        ({}, {"run_at": NOW - 1}, {}),
        ({}, {"run_at": NOW + 1}, {}),
        ({}, {}, {"precedents": {}}),
        ({}, {}, {"precedents": {("acme", "coder"): PLACE, ("shop", None): PLACE}}),
        ({}, {}, {"rules": 7_000}),
    ],
    ids=[
        "a project's limit",
        "its budget",
        "its tokens",
        "its directory",
        "labels it requires",
        "a paused project",
        "labels the task requires",
        "and a worker that may have them",
        "a task that is due",
        "a task that is not",
        "a first of its kind",
        "others of its kind",
        "rules that have changed",
    ],
)
def test_what_must_be_weighed_is_left_to_a_whole_turn(
    database: Database, project: dict, task: dict, question: dict
) -> None:
    make(database, **project)
    ask(database, "a", **task)
    before = database.read_sync(tasks.get, "a")
    assert claimed(database, **question) is None
    assert database.read_sync(tasks.get, "a") == before
    assert database.read_sync(attempts.of_task, "a") == []


@pytest.mark.parametrize("what", ["another task", "one that is due", "a limit", "a provider", "an agent"])
def test_nor_is_a_task_claimed_beside_which_anything_else_counts(database: Database, what: str) -> None:
    make(database)
    make(database, "shop")
    match what:
        case "another task":
            ask(database, "b", project="shop")
        case "one that is due":
            ask(database, "b", project="shop", run_at=NOW - 1)
        case "a limit":
            database.run_sync(limits.put, Limit(scope=LimitScope.INSTANCE, max_concurrent=9), now=1.0)
        case "a provider":
            database.run_sync(backoffs.store, {"anthropic": AWAY})
        case "an agent":
            ask(database, "b", project="shop", run_at=NOW + 1)
    ask(database, "a", **({"parent_id": "b", "parent_attempt": 1} if what == "an agent" else {}))
    assert claimed(database) is None


def test_only_a_worker_with_labels_looks_further_where_some_are_required(database: Database) -> None:
    make(database)
    ask(database, "a")
    ask(database, "b", requires=("gpu",))
    assert claimed(database, labelled=True) is None
    assert claimed(database) == "a"


@pytest.mark.postgres
def test_workers_that_ask_at_once_never_claim_the_same_and_leave_none(postgres_url: str) -> None:
    """One of them always by whole turns."""
    ids = [f"t{number:03}" for number in range(40)]

    async def work(number: int, database: Database) -> list[str]:
        found: list[str] = []
        brought = order(f"w{number}", slots=2)
        async with database.listener() as listener:
            turns = Turns(database, counsel())
            while True:
                taking = turns.take(brought, listener) if number else database.run(turn, brought, counsel())
                turned = await taking
                found += [claim.task.id for claim, _slot in turned.claims]
                if not turned.claims and not await database.read(waiting):
                    return found

    def waiting(tx: Transaction) -> int:
        return int(tx.execute(text("SELECT count(*) FROM tasks WHERE state = 'READY'")).scalar_one())

    async def trickle(database: Database) -> list[str]:
        for task_id in ids[1:]:
            await database.run(tasks.create, NEW, task_id=task_id, now=1.0)
        return []

    async def together(hosts: Sequence[Database]) -> list[list[str]]:
        workers = [work(number, host) for number, host in enumerate(hosts)]
        found = await asyncio.gather(trickle(hosts[0]), *workers)
        return [*found, await work(1, hosts[1])]

    with ExitStack() as stack:
        hosts = [stack.enter_context(open_database(postgres_url)) for _ in range(3)]
        make(hosts[0])
        ask(hosts[0], ids[0])
        found = asyncio.run(together(hosts))
    assert sorted(task_id for some in found for task_id in some) == ids


NEW = NewTask(project_id="acme", title="T", prompt="Do it.")
CODER = replace(
    counsel(),
    judge=lambda _tx, some, _now, _rules: {
        (one.project_id, one.profile_id): Verdict(harness="claude", profile_id="coder", model="opus")
        for one in some
    },
)


class Whole:
    """Counts the whole turns."""

    def __init__(self, told: Counsel = CODER) -> None:
        self.count = 0

        def judge(*given: Any) -> Any:
            self.count += 1
            return told.judge(*given)

        self.counsel = replace(told, judge=judge)


def with_turns(
    database: Database, told: Counsel, body: Callable[[Callable[..., Awaitable[Turned]]], Awaitable[None]]
) -> None:
    async def main() -> None:
        turns = Turns(database, told)
        async with database.listener() as listener:
            await heard(database, listener)
            await body(lambda brought: turns.take(brought, listener))

    asyncio.run(main())


def ids(turned: Turned) -> list[str]:
    return [claim.task.id for claim, _slot in turned.claims]


@pytest.mark.parametrize(
    ("brought", "expected"),
    [
        ({}, 1),
        ({"backoffs": {"claude": AWAY}}, 2),
        ({"keeping": False}, 2),
        ({"heard": {"anthropic": None}}, 2),
    ],
    ids=["nothing else", "a provider left alone here", "a host that lacks something", "news of a provider"],
)
def test_the_second_of_a_kind_takes_one_question(database: Database, brought: dict, expected: int) -> None:
    whole = Whole()
    make(database)

    async def body(take: Callable[[Order], Awaitable[Turned]]) -> None:
        for task_id in ("a", "b"):
            await database.run(tasks.create, NEW, task_id=task_id, now=1.0)
            turned = await take(order(slots=2, **(brought if task_id == "b" else {})))
            assert ids(turned) == ([task_id] if not brought.get("backoffs") or task_id == "a" else [])
        assert whole.count == expected
        again = await take(order(slots=2))
        assert ids(again) == (["b"] if brought.get("backoffs") else [])

    with_turns(database, whole.counsel, body)
    wanted = [(PLACE, 2)]
    assert database.read_sync(limits.running) == wanted


def test_what_is_remembered_holds_until_the_rules_change(database: Database) -> None:
    whole = Whole()
    make(database)

    async def body(take: Callable[[Order], Awaitable[Turned]]) -> None:
        for number in range(6):
            if number in (2, 4):
                await database.run(mark_rules_changed)
            await database.run(tasks.create, NEW, task_id=f"t{number}", now=1.0)
            assert ids(await take(order(slots=2))) == [f"t{number}"]
        assert whole.count == 3

    with_turns(database, whole.counsel, body)


def test_the_kinds_seen_last_are_remembered(database: Database) -> None:
    whole = Whole()
    for number in range(PRECEDENTS + 1):
        make(database, f"p{number}")

    async def body(take: Callable[[Order], Awaitable[Turned]]) -> None:
        for number in (*range(PRECEDENTS + 1), PRECEDENTS, 1, 0):
            before = whole.count
            wanted = replace(NEW, project_id=f"p{number}")
            task_id = f"t{number}-{before}"
            await database.run(tasks.create, wanted, task_id=task_id, now=1.0)
            turned = await take(order(slots=2))
            assert ids(turned) == [task_id]
            seen.append(whole.count - before)

    seen: list[int] = []
    with_turns(database, whole.counsel, body)
    assert seen == [1] * (PRECEDENTS + 1) + [0, 0, 1]


def test_an_empty_queue_says_when_something_is_due(database: Database) -> None:
    make(database)

    async def body(take: Callable[[Order], Awaitable[Turned]]) -> None:
        first, second = await take(order(slots=2)), await take(order(slots=2))
        assert (first.due, second.due) == (9e9, 9e9)
        assert second.at > first.at
        assert not second.seen

    ask(database, "later", run_at=9e9)
    with_turns(database, CODER, body)


def test_what_is_due_is_not_taken_for_an_empty_queue(database: Database) -> None:
    make(database)

    async def body(take: Callable[[Order], Awaitable[Turned]]) -> None:
        assert not ids(await take(order(slots=2)))
        await database.run(tasks.create, replace(NEW, run_at=50.0), task_id="a", now=1.0)
        assert ids(await take(order(slots=2))) == ["a"]

    with_turns(database, CODER, body)


@pytest.mark.postgres
@pytest.mark.parametrize("known", [False, True], ids=["a first of its kind", "one as claimed before"])
def test_what_another_has_in_hand_is_not_waited_for_and_looked_at_again_soon(
    shared: Database, postgres_url: str, known: bool
) -> None:
    """A host whose network is gone may have it for 20 seconds."""
    make(shared)

    async def body(take: Callable[[Order], Awaitable[Turned]]) -> None:
        if known:
            await shared.run(tasks.create, NEW, task_id="before", now=1.0)
            assert ids(await take(order(slots=2))) == ["before"]
        await shared.run(tasks.create, NEW, task_id="a", now=1.0)
        with psycopg.connect(postgres_url) as other:
            other.execute("SELECT id FROM tasks WHERE id = 'a' FOR UPDATE")
            for _ in range(2):
                async with asyncio.timeout(10):
                    turned = await take(order(slots=2))
                assert not turned.claims
                assert turned.due == pytest.approx(turned.at + IN_HAND_SECONDS)
        assert ids(await take(order(slots=2))) == ["a"]

    with_turns(shared, CODER, body)


@pytest.mark.postgres
def test_nor_when_it_is_beside_others_that_have_to_wait(shared: Database, postgres_url: str) -> None:
    make(shared)
    make(shared, "shop", max_concurrent=1)
    ask(shared, "begun", "waits", project="shop")

    async def body(take: Callable[[Order], Awaitable[Turned]]) -> None:
        assert ids(await take(order(slots=2))) == ["begun"]
        assert (await take(order(slots=2))).due is None
        await shared.run(tasks.create, NEW, task_id="a", now=1.0)
        with psycopg.connect(postgres_url) as other:
            other.execute("SELECT id FROM tasks WHERE id = 'a' FOR UPDATE")
            turned = await take(order(slots=2))
            assert turned.due == pytest.approx(turned.at + IN_HAND_SECONDS)
        assert ids(await take(order(slots=2))) == ["a"]

    with_turns(shared, CODER, body)


def test_tasks_of_a_paused_project_are_in_nobodys_hand(database: Database) -> None:
    make(database, paused=True)
    ask(database, "a", "b")

    async def body(take: Callable[[Order], Awaitable[Turned]]) -> None:
        assert (await take(order(slots=2))).due is None

    with_turns(database, CODER, body)
