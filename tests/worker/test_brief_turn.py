"""A turn in two statements: what it takes, and when it leaves everything to a whole one."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain

import psycopg
import pytest
from sqlalchemy import text

from orchestrator.domain.candidate import Candidate
from orchestrator.domain.limit import Limit, LimitScope, Place
from orchestrator.domain.project import CheckoutKind, Project
from orchestrator.domain.provider import Backoff
from orchestrator.domain.task import NewTask
from orchestrator.store import attempts, limits, projects, tasks
from orchestrator.store.database import Database, Transaction, open_database
from orchestrator.worker.admission import Hold, Key, Verdict
from orchestrator.worker.basis import Counsel, Order, Turned
from orchestrator.worker.brief_turn import brief_turn
from orchestrator.worker.standing import Rules
from orchestrator.worker.turn import turn
from turns import counsel, order

NOW = 100.0
LEFT = Hold(task_id="b", reason="checkout_unusable", message="It is not here.")
AWAY = Backoff(reason="rate_limited", message="Slow down.", until=NOW + 9)


def ask(database: Database, *ids: str, **fields: object) -> None:
    """Tasks of the project `acme`."""
    for task_id in ids:
        wanted = NewTask(project_id="acme", title="T", prompt="Do it.", **fields)  # type: ignore[arg-type]  # as told
        database.run_sync(tasks.create, wanted, task_id=task_id, now=1.0)


def make(database: Database, **fields: object) -> None:
    project = Project(id="acme", name="Acme", created_at=1.0, updated_at=1.0)
    database.run_sync(projects.create, replace(project, **fields))  # type: ignore[arg-type]  # as told


def taken(database: Database, brought: Order, told: Counsel | None = None) -> list[str] | None:
    turned = asyncio.run(database.apart(brief_turn, brought, told or counsel(), lambda _tx: NOW))
    return None if turned is None else [claim.task.id for claim, _slot in turned.claims]


def states(database: Database) -> set[tuple[str, str | None]]:
    found = [database.read_sync(tasks.get, task_id) for task_id in ("a", "b")]
    return {(task.state.value, task.hold) for task in found if task is not None}


def test_it_takes_what_fits_in_the_free_slots_and_begins_an_attempt(database: Database) -> None:
    make(database)
    ask(database, "a", "b", "c")
    assert taken(database, order(slots=2)) == ["a", "b"]
    assert taken(database, order(slots=2)) == ["c"]
    assert taken(database, order(slots=2)) == []


def nothing_may_run(
    _tx: Transaction, waiting: Sequence[Candidate], _now: float, _rules: int
) -> Mapping[Key, Verdict]:
    refused = Verdict(reason="profile_missing", message="There is none.")
    return {(one.project_id, one.profile_id): refused for one in waiting}


@pytest.mark.parametrize(
    ("project", "task", "brought", "told"),
    [
        ({"max_concurrent": 2}, {}, {}, counsel()),
        ({"budget_usd_per_day": 1.0}, {}, {}, counsel()),
        ({"checkout": CheckoutKind.DIRECTORY, "repository": "/srv/shop"}, {}, {}, counsel()),
        ({}, {}, {}, counsel(Rules(limits=(Limit(scope=LimitScope.INSTANCE, max_concurrent=9),)))),
        ({}, {"run_at": NOW - 1}, {}, counsel()),
        ({}, {}, {"heard": {"anthropic": None}}, counsel()),
        ({}, {}, {"backoffs": {"claude": AWAY}}, counsel()),
        ({}, {}, {}, replace(counsel(), judge=nothing_may_run)),
        ({}, {}, {}, replace(counsel(), elsewhere=lambda _tx, _asked, _facts: {"b": LEFT})),
    ],
    ids=[
        "a project's limit",
        "its budget",
        "its directory",
        "a limit over all hosts",
        "a task that is due",
        "news of a provider",
        "a provider to be left alone",
        "a profile that is missing",
        "a task that is left to another host",
    ],
)
def test_what_needs_more_than_a_look_and_a_claim_is_left_to_a_whole_turn(
    database: Database, project: dict, task: dict, brought: dict, told: Counsel
) -> None:
    make(database, **project)
    ask(database, "a", "b", **task)
    before = states(database)
    assert taken(database, order(slots=2, **brought), told) is None
    assert states(database) == before


@pytest.mark.postgres
def test_workers_that_look_at_once_never_take_the_same_and_leave_none(postgres_url: str) -> None:
    """One of them always at a whole turn."""
    ids = [f"t{number:03}" for number in range(60)]

    async def work(number: int, database: Database) -> list[str]:
        found: list[str] = []
        brought = order(f"w{number}", slots=2)
        while True:
            turned = await database.apart(brief_turn, brought, counsel()) if number else None
            turned = turned or await database.run(turn, brought, counsel())
            found += [claim.task.id for claim, _slot in turned.claims]
            if not turned.claims and not await database.read(waiting):
                return found

    def waiting(tx: Transaction) -> int:
        return int(tx.execute(text("SELECT count(*) FROM tasks WHERE state = 'READY'")).scalar_one())

    async def together(hosts: Sequence[Database]) -> list[list[str]]:
        return await asyncio.gather(*(work(number, host) for number, host in enumerate(hosts)))

    with ExitStack() as stack:
        hosts = [stack.enter_context(open_database(postgres_url)) for _ in range(3)]
        make(hosts[0])
        ask(hosts[0], *ids)
        found = asyncio.run(together(hosts))
    assert sorted(chain.from_iterable(found)) == ids


@pytest.mark.postgres
def test_what_another_has_in_hand_keeps_nobody_from_the_rest(postgres_url: str) -> None:
    """A host whose network is gone may have it for 20 seconds."""

    async def beside(database: Database) -> Turned | None:
        async with asyncio.timeout(10):
            return await database.apart(brief_turn, order(slots=2), counsel())

    with open_database(postgres_url) as database, psycopg.connect(postgres_url) as other:
        make(database)
        ask(database, "a", "b")
        other.execute("SELECT id FROM tasks WHERE id = 'a' FOR UPDATE")
        turned = asyncio.run(beside(database))
    assert turned is not None
    assert [claim.task.id for claim, _slot in turned.claims] == ["b"]


def test_a_task_that_an_agent_asked_for_is_left_to_a_whole_turn(database: Database) -> None:
    make(database)
    ask(database, "a")
    ask(database, "b", parent_id="a", parent_attempt=1)
    assert taken(database, order(slots=2)) is None


def test_the_attempt_counts_against_its_host_and_profile(database: Database) -> None:
    make(database)
    ask(database, "a")
    coder = Verdict(harness="claude", profile_id="coder", model="opus")
    told = replace(counsel(), judge=lambda _tx, _asked, _now, _rules: {("acme", None): coder})
    assert taken(database, order(slots=1), told) == ["a"]
    (attempt,) = database.read_sync(attempts.of_task, "a")
    assert attempt.worker == "w1"
    assert database.read_sync(limits.running) == [(Place(host="here", profile_id="coder", model="opus"), 1)]
