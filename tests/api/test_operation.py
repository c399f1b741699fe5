"""Metrics, health, and where the server listens."""

import re
import socket

import pytest

from orchestrator.api.address import bind
from orchestrator.commands import tasks
from orchestrator.commands.projects import CreateProject, create_project
from orchestrator.domain.attempt import Snapshot, Usage
from orchestrator.domain.effective import as_json
from orchestrator.domain.errors import ConfigurationError
from orchestrator.domain.outcome import Completed
from orchestrator.domain.settle import settle
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS
from orchestrator.store import attempts, queue, settling


def figures(text: bytes) -> dict[str, float]:
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def finish_one_task(api) -> None:
    """A worker takes the task, and its agent answers for a quarter of a dollar."""
    await create_project(api.use, CreateProject(id="acme"))
    run, now = api.use.database.run, api.use.clock()
    made = await tasks.create_task(api.use, tasks.CreateTask(title="x"))
    (claim,) = await run(queue.claim, [made.created], worker="w1", now=now, lease_seconds=60.0)
    snapshot = Snapshot(profile_id="reviewer", tier="task", effective=as_json(CLAUDE_DEFAULTS))
    await run(attempts.begin, claim, snapshot, now=now)
    during = figures((await api.ask("GET", "/metrics")).body)
    assert during['orchestrator_agent_processes{worker="w1"}'] == 1
    assert during['orchestrator_tasks{project="acme",state="IN_PROGRESS"}'] == 1
    assert 0 < during["orchestrator_lease_seconds_left"] <= 60
    settlement = settle(claim.task, Completed(answer="done"), now=now, jitter=0.5)
    ending = settling.Ending(claim=claim, settlement=settlement, usage=Usage(cost_usd=0.25, turns=2))
    assert await run(settling.settle, [ending], worker="w1", now=now)


def test_the_figures_follow_what_happens(with_api) -> None:
    async def test(api) -> None:
        before = await api.ask("GET", "/metrics")
        assert before.headers["content-type"].startswith("text/plain")
        assert not any(name.startswith("orchestrator_attempts_total") for name in figures(before.body))
        await finish_one_task(api)
        await tasks.create_task(api.use, tasks.CreateTask(title="y"))
        for _ in range(2):  # counting twice counts once
            after = figures((await api.ask("GET", "/metrics")).body)
        assert after['orchestrator_claims_total{project="acme"}'] == 1
        assert after['orchestrator_attempts_total{outcome="completed",project="acme"}'] == 1
        assert after['orchestrator_spend_usd_total{project="acme"}'] == 0.25
        assert after['orchestrator_tasks{project="acme",state="READY"}'] == 1
        assert after['orchestrator_oldest_task_seconds{project="acme",state="READY"}'] >= 0
        assert after["orchestrator_event_lag"] == 0

    with_api(test)


def test_readiness_names_the_part_that_is_not_ready(with_api) -> None:
    async def test(api) -> None:
        ready = await api.ask("GET", "/readyz")
        assert (ready.status, ready.json["parts"]) == (200, {"database": "ready", "vault": "ready"})
        api.use.host.vault.rename(api.use.host.vault.with_name("elsewhere"))
        broken = await api.ask("GET", "/readyz")
        assert (broken.status, broken.json["parts"]["database"]) == (503, "ready")
        assert "cannot be read" in broken.json["parts"]["vault"]
        assert (await api.ask("GET", "/healthz")).json == {"status": "ok"}

    with_api(test)


def test_probes_without_a_token_learn_only_the_status_and_only_when_that_is_set(with_api) -> None:
    async def test(api) -> None:
        assert (await api.ask("GET", "/readyz", authorization=None)).json == {"status": "ready"}
        assert (await api.ask("GET", "/healthz", authorization=None)).status == 200
        assert (await api.ask("GET", "/metrics", authorization=None)).status == 401
        assert (await api.ask("GET", "/healthz", authorization=None, host="evil.example")).status == 421

    with_api(test, open_health=True)


def test_a_port_that_is_taken_is_said_clearly() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigurationError, match=re.escape("set api.port to another")) as refused:
            bind("127.0.0.1", other.getsockname()[1])
        assert refused.value.field == "api.port"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_beyond_loopback_nobody_is_answered_unless_that_is_set(host: str) -> None:
    with pytest.raises(ConfigurationError, match="allow_remote"):
        bind(host, 0)
