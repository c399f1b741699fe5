"""What a worker remembers of limits, providers and profiles, and for how long."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, event

from orchestrator.domain.catalog import Ceiling
from orchestrator.domain.limit import Limit, LimitScope
from orchestrator.domain.profile import AgentProfile
from orchestrator.domain.project import Project
from orchestrator.domain.provider import Backoff
from orchestrator.domain.task import NewTask
from orchestrator.harness.platform import PlatformRegistry
from orchestrator.store import limits, profiles, projects, tasks, waiting
from orchestrator.store.database import Database, Transaction
from orchestrator.worker.lacking import Lacking
from orchestrator.worker.standing import REMEMBERED_SECONDS, Rules, Standing
from orchestrator.worker.verdicts import Verdicts

NOW = 1000.0
LIMIT = Limit(scope=LimitScope.PROFILE, name="coder", max_concurrent=1)


@contextmanager
def counted() -> Iterator[list[str]]:
    statements: list[str] = []

    def seen(_tx: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", seen)
    yield statements
    event.remove(Engine, "before_cursor_execute", seen)


def rules(database: Database, standing: Standing, now: float = NOW) -> Rules:
    def ask(tx: Transaction) -> Rules:
        return standing.rules(tx, now, {}, waiting.look(tx, most=1).rules)

    return database.run_sync(ask)


def test_limits_are_asked_for_again_only_when_something_changed(database: Database) -> None:
    standing = Standing()
    rules(database, standing)
    with counted() as statements:
        rules(database, standing, NOW + 1)
        assert not [one for one in statements if "limits" in one]
    database.run_sync(limits.put, LIMIT, now=NOW)
    assert rules(database, standing, NOW + 1).limits == (LIMIT,)


def test_what_was_changed_past_the_program_is_noticed_after_a_while(database: Database) -> None:
    standing = Standing()
    rules(database, standing)
    past = "INSERT INTO limits (scope, name, max_concurrent, updated_at) VALUES ('profile', 'coder', 1, 1)"
    database.run_sync(lambda tx: tx.exec_driver_sql(past) and None)
    assert rules(database, standing, NOW + 1).limits == ()
    later = NOW + REMEMBERED_SECONDS
    assert rules(database, standing, later).limits == (LIMIT,)


def test_a_provider_is_left_alone_until_its_time_and_no_longer(database: Database) -> None:
    standing = Standing()
    told = {"anthropic": Backoff(reason="rate_limited", message="Later.", until=NOW + 10)}
    database.run_sync(standing.rules, NOW, told, None)
    assert rules(database, standing, NOW + 9).backoffs == told
    assert rules(database, standing, NOW + 10).backoffs == {}


@pytest.fixture
def verdicts() -> Verdicts:
    return Verdicts(defaults=PlatformRegistry().defaults, ceiling=Ceiling(), lacking=Lacking({}))


def model(database: Database, verdicts: Verdicts, now: float = NOW) -> str | None:
    def ask(tx: Transaction) -> str | None:
        looked = waiting.look(tx, most=1)
        [verdict] = verdicts.judge(tx, looked.candidates, now, looked.rules).values()
        return verdict.model

    return database.run_sync(ask)


def test_a_profile_is_resolved_again_only_when_something_changed(
    database: Database, verdicts: Verdicts
) -> None:
    coder = AgentProfile(id="coder", name="Coder", model="opus")
    database.run_sync(profiles.create_profile, coder, now=NOW)
    acme = Project(id="acme", name="Acme", created_at=1.0, updated_at=1.0, default_profile_id="coder")
    database.run_sync(projects.create, acme)
    wanted = NewTask(project_id="acme", title="T", prompt="P")
    database.run_sync(tasks.create, wanted, task_id="t", now=NOW)
    assert model(database, verdicts) == "opus"
    with counted() as statements:
        assert model(database, verdicts, NOW + 5) == "opus"
        assert not [one for one in statements if "agent_profiles" in one]
    database.run_sync(profiles.update_profile, "coder", now=NOW, model="haiku")
    assert model(database, verdicts, NOW + 5) == "haiku"
