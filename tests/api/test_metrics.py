"""What Prometheus reads: each figure after a known course of events, and the page that lists them."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands import tasks
from orchestrator.commands.projects import CreateProject, create_project
from orchestrator.commands.tasks import CreateTask
from orchestrator.domain.attempt import Snapshot, Usage
from orchestrator.domain.effective import as_json
from orchestrator.domain.outcome import Completed, Crashed
from orchestrator.domain.settle import settle
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS
from orchestrator.store import attempts, queue, settling

PAGE = Path(__file__).resolve().parents[2] / "docs" / "http.md"


async def run_one(api, outcome: Any = None, *, title: str = "x", rehearsal: bool = False) -> None:
    """A worker takes a task and begins it; with an outcome, it ends for a quarter of a dollar."""
    run, now = api.use.database.run, api.use.clock()
    made = await tasks.create_task(api.use, CreateTask(title=title))
    (claim,) = await run(queue.claim, [made.created], worker="w1", now=now - 10, lease_seconds=70.0)
    effective = as_json(CLAUDE_DEFAULTS)
    snapshot = Snapshot(profile_id="coder", tier="task", effective=effective, rehearsal=rehearsal)
    await run(attempts.begin, claim, snapshot, now=now)
    if outcome is not None:
        settlement = settle(claim.task, outcome, now=now, jitter=0.5)
        ending = settling.Ending(claim=claim, settlement=settlement, usage=Usage(cost_usd=0.25, turns=2))
        assert await run(settling.settle, [ending], worker="w1", now=now)


async def course_of_events(api) -> str:
    """Everything that the figures tell of, after the first look at them, and what they say then."""
    await api.ask("GET", "/metrics")
    await create_project(api.use, CreateProject(id="acme"))
    await run_one(api, Completed(answer="done"))
    await run_one(api, Crashed(message="exit 1", exit_code=1))
    await run_one(api, Completed(answer="as if"), rehearsal=True)
    await run_one(api)
    first = await tasks.create_task(api.use, CreateTask(title="waits"))
    await tasks.create_task(api.use, CreateTask(title="after it", depends_on=(first.created,)))
    broken = api.use.host.vault / "agent-types" / "broken" / "profile.md"
    broken.parent.mkdir()
    broken.write_text("---\nid: broken\n---\n\n## Tools\n```json\n{broken\n```\n", encoding="utf-8")
    await api.use.sync()
    stream = await follow(api)
    try:
        for _ in range(2):  # looking twice counts once
            text = (await api.ask("GET", "/metrics")).body.decode()
    finally:
        stream.close()
    return text


async def follow(api) -> asyncio.StreamWriter:
    """Somebody follows events from now on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    said = [f"{name}: {value}" for name, value in api.headers.items()]
    writer.write("\r\n".join(["GET /api/v1/events HTTP/1.1", *said, "", ""]).encode())
    await asyncio.wait_for(reader.readuntil(b": ready"), 20.0)
    return writer


@pytest.fixture(scope="module")
def text(serving, tmp_path_factory: pytest.TempPathFactory) -> str:
    async def whole() -> str:
        async with serving(tmp_path_factory.mktemp("metrics") / "home") as api:
            return await course_of_events(api)

    return asyncio.run(whole())


def is_(wanted: float) -> Callable[[float], bool]:
    return lambda value: value == wanted


def within(low: float, high: float) -> Callable[[float], bool]:
    return lambda value: low <= value <= high


EXPECTED: dict[str, Callable[[float], bool]] = {
    'orchestrator_tasks{project="acme",state="READY"}': is_(2),  # one that crashed is tried again
    'orchestrator_tasks{project="acme",state="DEFINED"}': is_(1),
    'orchestrator_tasks{project="acme",state="IN_PROGRESS"}': is_(1),
    'orchestrator_oldest_task_seconds{project="acme",state="READY"}': within(0, 60),
    'orchestrator_agent_processes{worker="w1"}': is_(1),
    "orchestrator_leases": is_(1),
    "orchestrator_oldest_lease_seconds": within(10, 70),
    "orchestrator_lease_seconds_left": within(0, 60),
    "orchestrator_event_lag": is_(0),
    "orchestrator_event_subscribers": is_(1),
    "orchestrator_vault_unusable_documents": is_(1),
    'orchestrator_claims_total{project="acme"}': is_(4),
    'orchestrator_attempts_total{outcome="completed",project="acme"}': is_(2),
    'orchestrator_attempts_total{outcome="crashed",project="acme"}': is_(1),
    'orchestrator_spend_usd_total{project="acme"}': is_(0.5),  # what was rehearsed cost nothing
    "orchestrator_vault_syncs_total": is_(1),
    "orchestrator_vault_sync_seconds_total": within(1e-6, 10),
    "orchestrator_vault_rejections_total": is_(1),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_each_figure_says_what_happened(text: str, name: str) -> None:
    samples = dict(line.rpartition(" ")[::2] for line in text.splitlines() if not line.startswith("#"))
    assert EXPECTED[name](float(samples[name])), samples[name]


def test_the_page_lists_every_figure_with_its_labels_and_meaning(text: str) -> None:
    told = dict(re.findall(r"^# HELP (\S+) (.+)$", text, re.M))
    labels = {
        name: tuple(sorted(re.findall(r'(\w+)="', found)))
        for name, found in re.findall(r"^(orchestrator_\w+)(\{.*\})? \S+$", text, re.M)
    }
    rows = re.findall(r"^\| `(orchestrator_\w+)` \| (.*?) \| (.*) \|$", PAGE.read_text("utf-8"), re.M)
    assert {name: meaning for name, _, meaning in rows} == told
    assert {name: tuple(sorted(re.findall(r"`(\w+)`", given))) for name, given, _ in rows} == labels


def test_every_figure_is_tried_here(text: str) -> None:
    assert {name.partition("{")[0] for name in EXPECTED} == set(re.findall(r"^# HELP (\S+)", text, re.M))
