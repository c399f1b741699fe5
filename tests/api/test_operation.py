"""Health, readiness, and where the server listens."""

import os
import re
import socket
from dataclasses import replace

import pytest

from orchestrator.api.address import bind
from orchestrator.api.health import parts, worker_problem
from orchestrator.domain.errors import ConfigurationError
from orchestrator.store import workers
from orchestrator.store.workers import Worker


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


NOW = 1000.0
ROW = Worker(id="w", host="h", pid=1, version="1", slots=1, started_at=0.0, seen_at=NOW)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (ROW, None),
        (replace(ROW, turning_since=NOW - 1), None),
        (None, "it has not presented itself yet"),
        (replace(ROW, seen_at=NOW - 90), "its last heartbeat was 90 s ago"),
        (
            replace(ROW, turning_since=NOW - 40),
            "its heartbeat goes on, but its loop has come to nothing for 40 s",
        ),
        (replace(ROW, draining=True), "it drains"),
    ],
)
def test_a_worker_that_takes_nothing_says_why(row: Worker | None, problem: str | None) -> None:
    said = worker_problem(row, now=NOW)
    assert said is None if problem is None else (said or "").startswith(problem)


def test_readiness_tells_of_the_worker_of_this_very_process(with_api) -> None:
    async def test(api) -> None:
        other = replace(ROW, seen_at=api.use.clock(), host="elsewhere")
        await api.use.database.run(workers.register, other)
        told = await parts(api.use, with_worker=True)
        assert [(one.name, one.problem) for one in told][-1] == ("worker", "it has not presented itself yet")
        mine = replace(other, id="mine", host=socket.gethostname(), pid=os.getpid())
        await api.use.database.run(workers.register, mine)
        assert all(one.problem is None for one in await parts(api.use, with_worker=True))

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
