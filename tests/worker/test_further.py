"""Tasks that could run, behind others of their project that have to wait for room."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from orchestrator.domain.candidate import Candidate
from orchestrator.domain.limit import Limit, LimitScope
from orchestrator.domain.project import CheckoutKind, Project
from orchestrator.domain.provider import Backoff
from orchestrator.store import further, limits, projects
from orchestrator.store.database import Database, Transaction
from orchestrator.worker.admission import Verdict
from orchestrator.worker.basis import Counsel
from orchestrator.worker.further import Further, Passing
from orchestrator.worker.standing import Rules
from orchestrator.worker.turn import turn
from turns import counsel, order

ONE = Limit(scope=LimitScope.PROFILE, name="full", max_concurrent=1)
FULL = Rules(limits=(ONE,))


PROFILE = text("INSERT INTO agent_profiles (id, name, created_at, updated_at) VALUES (:id, :id, 1, 1)")
TASK = text(
    "INSERT INTO tasks (id, project_id, title, prompt, state, created_at, updated_at, priority, profile_id, "
    "requires) VALUES (:id, 'acme', 'T', 'P', 'READY', 1, 1, :number, :profile, :requires)"
)


@pytest.fixture
def ask(database: Database) -> Callable[..., None]:
    """Queues tasks of a project, each with the profile named, to be taken in this order."""

    def queue_them(*profiles: str | None, requires: tuple[str, ...] = (), **fields: Any) -> None:
        def write(tx: Transaction) -> None:
            projects.create(tx, Project(id="acme", name="Acme", created_at=1.0, updated_at=1.0, **fields))
            tx.execute(PROFILE, [{"id": name} for name in set(profiles) if name])
            rows = [
                {
                    "id": f"{number:04}-{profile}",
                    "number": number,
                    "profile": profile,
                    "requires": json.dumps(requires) if requires else None,
                }
                for number, profile in enumerate(profiles)
            ]
            tx.execute(TASK, rows)

        database.run_sync(write)

    return queue_them


@pytest.fixture
def take(database: Database) -> Callable[..., list[str]]:
    def decide(asked: Counsel, **fields: Any) -> list[str]:
        turned = database.run_sync(turn, order(**{"slots": 4, **fields}), asked)
        return [claim.task.id for claim, _slot in turned.claims]

    return decide


def test_tasks_whose_profile_is_full_do_not_keep_the_others_of_their_project(database, ask, take) -> None:
    database.run_sync(limits.put, ONE, now=1.0)
    ask(*["full"] * 30, "free", None, *["full"] * 10, "free")
    asked = counsel(FULL)
    assert take(asked) == ["0000-full"]
    assert take(asked) == ["0030-free", "0031-None", "0042-free"]
    assert take(asked) == []


def test_tasks_that_require_labels_stand_in_a_line_of_their_own(database, ask, take) -> None:
    ask(*["full"] * 30, "free", requires=("gpu",))
    nothing = Limit(scope=LimitScope.PROFILE, name="full", max_concurrent=0)
    asked = counsel(Rules(limits=(nothing,)))
    assert take(asked) == []
    assert take(asked, labels=frozenset({"gpu"})) == ["0030-free"]


def test_what_is_found_may_have_no_room_either_and_the_search_goes_on(database, ask, take) -> None:
    others = Limit(scope=LimitScope.PROFILE, name="other", max_concurrent=0)
    ask(*["full"] * 20, *["other"] * 20, "free")
    nothing = Limit(scope=LimitScope.PROFILE, name="full", max_concurrent=0)
    assert take(counsel(Rules(limits=(nothing, others)))) == ["0040-free"]


def test_a_long_backlog_is_looked_through_in_steps(database, ask, take, monkeypatch) -> None:
    ask(*["full"] * (2 * further.FAR + 10), "free")
    nothing = Limit(scope=LimitScope.PROFILE, name="full", max_concurrent=0)
    asked = counsel(Rules(limits=(nothing,)))
    assert [take(asked) for _ in range(3)] == [[], [], ["2010-free"]]
    assert [take(asked) for _ in range(3)] == [[], [], []]


def test_a_directory_is_not_kept_free_for_a_task_that_has_no_room(database, ask, take) -> None:
    ask("full", "free", "free", checkout=CheckoutKind.DIRECTORY, repository="/srv/shop")
    nothing = Limit(scope=LimitScope.PROFILE, name="full", max_concurrent=0)
    asked = counsel(Rules(limits=(nothing,)))
    assert take(asked) == ["0001-free"]
    assert take(asked) == []


def test_tasks_of_a_provider_that_is_left_alone_do_not_keep_those_of_another(database, ask, take) -> None:
    ask(*["full"] * 20, "free")

    def judge(_tx: Transaction, candidates: list[Candidate], _now: float, _rules: int) -> dict[Any, Verdict]:
        harness = {"full": "claude", "free": "codex"}
        return {
            (one.project_id, one.profile_id): Verdict(harness=harness[one.profile_id or ""])
            for one in candidates
        }

    asked = replace(counsel(), judge=judge)
    left = {"claude": Backoff(reason="rate_limited", message="Later.", until=9e9)}
    both = frozenset({"claude", "codex"})
    assert take(asked, backoffs=left, harnesses=both) == ["0020-free"]


class NotAsked(Further):
    def candidates(self, tx: Transaction, passing: Passing, *, most: int) -> list[Candidate]:
        raise AssertionError(passing)


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        (Rules(), {}),
        (FULL, {"max_concurrent": 1}),
        (Rules(limits=(Limit(scope=LimitScope.INSTANCE, max_concurrent=4),)), {}),
    ],
    ids=["no limit", "the project's own limit", "the instance's"],
)
def test_nobody_looks_further_where_that_finds_nothing(database, ask, take, rules, kept) -> None:
    ask(*["full"] * 30, "free", **kept)
    asked = replace(counsel(rules), further=NotAsked())
    assert take(asked)
    take(asked)
