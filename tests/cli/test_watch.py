"""Following a task while a worker elsewhere runs it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import exit_codes, transcript
from orchestrator.domain.attempt import AgentMessage, Snapshot, Usage
from orchestrator.domain.effective import as_json
from orchestrator.domain.outcome import Completed, Crashed, ModelRefused, Outcome
from orchestrator.domain.settle import settle
from orchestrator.domain.task import Claim
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS
from orchestrator.store import attempts, queue, settling
from orchestrator.store.database import Database, open_database

NOW = 1_800_000_000.0


def begin(database: Database, task_id: str, *, rehearsal: bool = False) -> Claim:
    (claim,) = database.run_sync(queue.claim, [task_id], worker="w1", now=NOW, lease_seconds=60.0)
    snapshot = Snapshot(
        profile_id="coder", tier="task", effective=as_json(CLAUDE_DEFAULTS), rehearsal=rehearsal
    )
    database.run_sync(attempts.begin, claim, snapshot, now=NOW)
    return claim


def say(database: Database, claim: Claim, sequence: int, text: str) -> None:
    message = AgentMessage(sequence=sequence, at=NOW, kind="text", body={"text": text})
    database.run_sync(attempts.append_messages, claim, [message])


def end(database: Database, claim: Claim, outcome: Outcome) -> None:
    settlement = settle(claim.task, outcome, now=NOW, jitter=0.5)
    ending = settling.Ending(claim=claim, settlement=settlement, usage=Usage())
    assert database.run_sync(settling.settle, [ending], worker="w1", now=NOW)


@pytest.fixture
def database(acme, home: Path) -> AsyncIterator[Database]:
    with open_database(f"sqlite:///{home / 'orchestrator.db'}") as opened:
        yield opened


def add(cli, *arguments: str) -> str:
    return cli("task", "add", "x", *arguments, "--json").json["created"]


def test_an_ended_task_is_shown_from_its_latest_attempt_on(acme, database: Database) -> None:
    task_id = add(acme)
    claim = begin(database, task_id)
    say(database, claim, 1, "It is \x1b[1mdone\x1b[0m.")
    end(database, claim, Completed(answer="It is done."))
    ran = acme("task", "watch", task_id)
    assert ran.code == exit_codes.OK
    assert "attempt 1" in ran.out
    assert "It is ␛[1mdone␛[0m." in ran.out
    assert f"{task_id} COMPLETED" in ran.out


def test_a_task_that_failed_ends_with_1_and_says_why(acme, database: Database) -> None:
    task_id = add(acme)
    end(database, begin(database, task_id), ModelRefused(message="The model declined."))
    ran = acme("task", "watch", task_id)
    assert ran.code == exit_codes.FAILED
    assert "The model declined." in ran.out


def test_a_rehearsal_is_labelled_wherever_it_is_shown(acme, database: Database) -> None:
    task_id = add(acme)
    claim = begin(database, task_id, rehearsal=True)
    say(database, claim, 1, "hello")
    end(database, claim, Completed(answer="hello"))
    for verb in (("task", "watch"), ("task", "show"), ("task", "explain"), ("attempt", "show")):
        assert "rehearsal" in acme(*verb, task_id).out
        assert "rehearsal" in acme(*verb, task_id, "--json").out


def test_with_json_every_message_is_a_line_and_the_task_is_the_last(acme, database: Database) -> None:
    task_id = add(acme)
    claim = begin(database, task_id)
    for number in (1, 2):
        say(database, claim, number, f"line {number}")
    end(database, claim, Completed(answer="ok"))
    lines = [json.loads(line) for line in acme("task", "watch", task_id, "--json").out.splitlines()]
    assert [line["message"]["body"]["text"] for line in lines[:-1]] == ["line 1", "line 2"]
    assert lines[-1]["task"]["state"] == "COMPLETED"


def test_the_log_of_an_attempt_can_be_read_again(acme, database: Database) -> None:
    task_id = add(acme)
    claim = begin(database, task_id)
    say(database, claim, 1, "first words")
    end(database, claim, Crashed(message="gone"))
    assert acme("attempt", "log", task_id).out == "first words\n"
    shown = acme("attempt", "show", task_id, "1")
    for word in ("crashed", "gone", "profile coder", "from tier task", "allowed_tools"):
        assert word in shown.out
    assert acme("attempt", "show", task_id, "2").code == exit_codes.NOT_FOUND


async def _lines_until(stream: asyncio.StreamReader, wanted: str) -> list[str]:
    """Lines up to the first that contains `wanted`, within a bound."""
    seen = []
    async with asyncio.timeout(30):
        while True:
            line = (await stream.readline()).decode()
            assert line, seen
            seen.append(line)
            if wanted in line:
                return seen


async def _watch(home: Path, task_id: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("orchestrator")),
        *("task", "watch", task_id),
        env={"ORCHESTRATOR_HOME": str(home), "PATH": "/usr/bin:/bin", "HOME": str(home)},
        stdout=asyncio.subprocess.PIPE,
    )


def test_what_is_said_while_watching_is_shown_as_it_comes(acme, database: Database, home: Path) -> None:
    task_id = add(acme)

    async def drama() -> int | None:
        process = await _watch(home, task_id)
        assert process.stdout is not None
        try:
            await _lines_until(process.stdout, "No worker is alive")
            claim = begin(database, task_id)
            say(database, claim, 1, "working on it")
            await _lines_until(process.stdout, "working on it")
            say(database, claim, 2, "nearly there")
            end(database, claim, Completed(answer="ok"))
            seen = await _lines_until(process.stdout, "COMPLETED")
            assert "nearly there\n" in seen
            return await asyncio.wait_for(process.wait(), 30)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    assert asyncio.run(drama()) == exit_codes.OK


@pytest.mark.parametrize(
    ("kind", "body", "shown"),
    [
        ("init", {"model": "m", "tools": ["Read"]}, "agent is up: m, tools: Read"),
        ("text", {"text": " hi "}, "hi"),
        ("thinking", {"thinking": "hm\nhm"}, "· hm hm"),
        ("tool_use", {"name": "Read", "input": {"file_path": "a.py"}}, "→ Read a.py"),
        ("tool_result", {"content": [{"type": "text", "text": "line"}]}, "← line"),
        ("result", {"num_turns": 2, "total_cost_usd": 0.5}, "agent is done: 2 turns, $0.5000"),
        ("retry", {"error": "overloaded"}, "the model's service makes it wait or try again: overloaded"),
    ],
)
def test_each_kind_of_message_has_its_line(kind: str, body: dict[str, Any], shown: str) -> None:
    message = AgentMessage(sequence=1, at=NOW, kind=kind, body=body)
    assert [line.plain for line in transcript.lines(message)] == [shown]


@pytest.mark.parametrize("kind", ["init", "text", "thinking", "tool_use", "tool_result", "result", "retry"])
@pytest.mark.parametrize("value", [None, 7, "x", [1], {"a": None}])
def test_no_body_of_a_message_breaks_the_transcript(kind: str, value: object) -> None:
    names = ("model", "tools", "text", "thinking", "name", "input", "content", "num_turns", "total_cost_usd")
    message = AgentMessage(sequence=1, at=NOW, kind=kind, body=dict.fromkeys(names, value))
    list(transcript.lines(message))
