"""The composed application, on a fresh home."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from orchestrator import app
from orchestrator.api import health
from orchestrator.domain.profile import UNLIMITED
from orchestrator.domain.project import Project
from orchestrator.domain.task import NewTask
from orchestrator.harness.claude.config import CREDENTIALS
from orchestrator.harness.claude.environment import REHEARSAL_KEY
from orchestrator.settings import Settings, load
from orchestrator.store import profiles, projects, queue, tasks, workers
from orchestrator.store.database import Transaction
from orchestrator.vault import duty
from orchestrator.worker.stop import Stop


def fresh(home: Path, **environment: str) -> Settings:
    return load(environment={"ORCHESTRATOR_HOME": str(home), **environment}).settings


def test_the_starter_profiles_are_there_before_anything_runs(tmp_path: Path) -> None:
    async def names() -> set[str]:
        async with app.opened(fresh(tmp_path / "home"), environment={}) as opened:
            return {profile.id for profile in await opened.database.read(profiles.list_profiles)}

    assert {"coder", "reviewer", "researcher", "tester"} <= asyncio.run(names())


def test_a_vault_of_the_operators_own_is_left_as_it_is(tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    vault.mkdir()

    async def look() -> None:
        settings = fresh(tmp_path / "home", ORCHESTRATOR_VAULT__PATH=str(vault))
        async with app.opened(settings, environment={}):
            pass

    asyncio.run(look())
    assert list(vault.iterdir()) == []


def test_a_setting_becomes_the_default_of_the_harness_and_says_so(tmp_path: Path) -> None:
    settings = fresh(
        tmp_path, ORCHESTRATOR_CLAUDE__MODEL="claude-opus-5", ORCHESTRATOR_CLAUDE__MAX_RETRIES="1"
    )
    base = app.base_config(settings, None)
    assert base.effective.model == "claude-opus-5"
    assert base.effective.origins["model"] == "setting of this installation"
    assert base.effective.origins["permission_mode"] == "default of claude"
    assert base.effective.max_tokens_per_task == UNLIMITED
    assert base.max_retries == 1


def test_a_rehearsal_gets_no_credentials(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "LINTER_TOKEN").write_text("for a server\n")
    settings = fresh(tmp_path, ORCHESTRATOR_SECRETS_DIR=str(secrets), ANTHROPIC_API_KEY="real")
    real = app.gather_secrets(settings, {"AWS_ACCESS_KEY_ID": "real"})
    assert (real["ANTHROPIC_API_KEY"], real["LINTER_TOKEN"]) == ("real", "for a server")
    rehearsed = app.gather_secrets(settings, {"AWS_ACCESS_KEY_ID": "real"}, rehearsal=True)
    assert rehearsed == {"LINTER_TOKEN": "for a server", "ANTHROPIC_API_KEY": REHEARSAL_KEY}
    assert "real" not in rehearsed.values()
    assert set(rehearsed) & set(CREDENTIALS) == {"ANTHROPIC_API_KEY"}


def test_packages_of_profiles_are_on_an_attempts_path_behind_the_systems(tmp_path: Path) -> None:
    base = app.base_config(fresh(tmp_path), None, path="/usr/bin")
    assert base.environment["PATH"] == f"/usr/bin:{tmp_path}/packages/npm/bin:{tmp_path}/packages/pip/bin"


def test_profiles_of_an_older_configuration_hold_from_the_first_start_on(tmp_path: Path) -> None:
    """Also one with the id of a profile of the starter vault, which comes with the others."""
    (tmp_path / "config.yaml").write_text(
        "agent_profiles: {mine: {model: m}, reviewer: {model: theirs}, bad: {max_turns: 0}}\n"
    )

    async def start() -> str | None:
        stop = Stop()
        async with app.running(fresh(tmp_path), stop=stop) as started:
            mine = await started.database.read(profiles.get_profile, "mine")
            bad = await started.database.read(profiles.get_profile, "bad")
            reviewer = await started.database.read(profiles.get_profile, "reviewer")
            coder = await started.database.read(profiles.get_profile, "coder")
        assert bad is None
        assert reviewer is not None
        assert reviewer.model == "theirs"
        assert coder is not None
        return mine and mine.model

    assert asyncio.run(start()) == "m"


def test_a_start_tries_again_what_a_setting_had_held(tmp_path: Path) -> None:
    settings = fresh(tmp_path)

    def hold(tx: Transaction, reason: str) -> None:
        new = NewTask(project_id="acme", title=reason, prompt="x", max_attempts=1)
        task = tasks.create(tx, new, task_id=reason.ljust(16, "0"), now=1.0)
        queue.hold(tx, [queue.Held(task_id=task.id, reason=reason, message="", until=2e9)], now=1.0)

    async def start() -> dict[str, str | None]:
        async with app.opened(settings) as opened:
            acme = Project(id="acme", name="a", created_at=1, updated_at=1, paused=True)
            await opened.database.run(projects.create, acme)
            for reason in ("authentication", "profile_missing"):
                await opened.database.run(hold, reason)
        async with (
            asyncio.timeout(20),
            app.running(settings, stop=Stop()) as started,
            started.database.listener() as changes,
        ):
            while not await started.database.read(workers.list_workers):
                await changes.wait(0.2)
            found = await started.database.read(tasks.list_tasks, limit=9)
        return {task.title: task.hold for task in found}

    assert asyncio.run(start()) == {"authentication": None, "profile_missing": "profile_missing"}


def test_another_hosts_vault_takes_over_when_the_one_that_leads_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duty, "LEASE_SECONDS", 0.6)

    def host(name: str) -> Settings:
        place = tmp_path / name / "vault" / "agent-types" / name / "profile.md"
        place.parent.mkdir(parents=True)
        place.write_text(f"---\nid: {name}\nname: {name}\n---\n")
        return fresh(
            tmp_path / name,
            ORCHESTRATOR_DATABASE__URL=f"sqlite:///{tmp_path}/shared.db",
            ORCHESTRATOR_WORKER__NAME=name,
        )

    async def ids(started: app.App) -> set[str]:
        return {profile.id for profile in await started.database.read(profiles.list_profiles)}

    async def scenario() -> None:
        ends = [Stop(), Stop()]
        async with AsyncExitStack() as first, asyncio.timeout(20):
            await first.enter_async_context(app.running(host("one"), stop=ends[0]))
            async with app.running(host("two"), stop=ends[1]) as second:
                assert await ids(second) == {"one"}
                async with second.database.listener() as changed:
                    await first.aclose()
                    while await ids(second) != {"two"}:
                        await changed.wait(0.2)

    asyncio.run(scenario())


def test_a_host_whose_vault_never_counts_works_without_one(tmp_path: Path) -> None:
    """Whoever starts first: it makes no vault that another host would then have to follow."""
    shared = f"sqlite:///{tmp_path / 'shared.db'}"
    plain = fresh(tmp_path / "b", ORCHESTRATOR_DATABASE__URL=shared, ORCHESTRATOR_VAULT__TAKES_OVER="false")
    leading = fresh(tmp_path / "a", ORCHESTRATOR_DATABASE__URL=shared)

    async def start() -> set[str]:
        async with app.running(plain, stop=Stop()), app.running(leading, stop=Stop()):
            pass
        async with app.running(plain, stop=Stop()) as again:
            ready = await health.parts(app.use(again, clock=time.time, random=lambda: 1), with_worker=False)
            assert [part for part in ready if part.problem is not None] == []
            return {profile.id for profile in await again.database.read(profiles.list_profiles)}

    assert "coder" in asyncio.run(start())
    assert not plain.vault_path.exists()
