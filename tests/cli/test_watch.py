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
from orchestrator.domain.outcome import (
    Asked,
    AuthenticationFailed,
    Completed,
    Crashed,
    ModelRefused,
    Outcome,
)
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


def end(database: Database, claim: Claim, outcome: Outcome, *, cost: float = 0.0) -> None:
    settlement = settle(claim.task, outcome, now=NOW, jitter=0.5)
    ending = settling.Ending(claim=claim, settlement=settlement, usage=Usage(cost_usd=cost))
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


def test_a_rehearsal_costs_nothing_wherever_money_is_shown(acme, database: Database) -> None:
    task_id = add(acme)
    claim = begin(database, task_id, rehearsal=True)
    body = {"num_turns": 1, "total_cost_usd": 0.0008}
    message = AgentMessage(sequence=1, at=NOW, kind="result", body=body)
    database.run_sync(attempts.append_messages, claim, [message])
    end(database, claim, Completed(answer="hello"), cost=0.0008)
    for verb in (("task", "watch"), ("task", "show"), ("attempt", "show"), ("attempt", "log")):
        assert "nothing spent, a model: about $0.0008" in acme(*verb, task_id).out
    (shown,) = acme("task", "show", task_id, "--json").json["attempts"]
    assert (shown["cost_usd"], shown["rehearsal"]) == (0.0008, True)
    for verb in (("task", "watch"), ("attempt", "log")):
        said = json.loads(acme(*verb, task_id, "--json").out.splitlines()[0])
        assert (said.get("message", said)["body"], said["rehearsal"]) == (body, True)


def test_watching_ends_with_its_own_code_where_a_person_is_needed(acme, database: Database) -> None:
    task_id = add(acme)
    claim = begin(database, task_id)
    say(database, claim, 1, "last words")
    end(database, claim, AuthenticationFailed(message="Set a valid ANTHROPIC_API_KEY."))
    ran = acme("task", "watch", task_id)
    assert ran.code == exit_codes.PERSON
    for word in ("last words", "Set a valid ANTHROPIC_API_KEY.", "waits for you", f"task watch {task_id}"):
        assert word in ran.out
    ran = acme("task", "watch", task_id, "--json")
    assert ran.code == exit_codes.PERSON
    lines = [json.loads(line) for line in ran.out.splitlines()]
    reason = lines[1]["waiting"]["reasons"][0]
    assert (reason["code"], reason["needs_person"]) == ("authentication", True)
    assert reason["until"] > NOW
    assert lines[2]["task"]["hold"] == "authentication"


def test_a_question_is_shown_with_the_way_to_answer_it(acme, database: Database) -> None:
    task_id = add(acme)
    end(database, begin(database, task_id), Asked(question="Red or blue?"))
    ran = acme("task", "watch", task_id)
    assert ran.code == exit_codes.PERSON
    assert "The agent asked: Red or blue?" in ran.out
    assert f"task answer {task_id} 'your answer'" in ran.out


def test_a_task_of_a_paused_project_is_not_waited_for(acme) -> None:
    acme("project", "pause", "acme")
    ran = acme("task", "add", "x", "--wait")
    assert ran.code == exit_codes.PERSON
    assert "`orchestrator project resume acme`" in ran.out


def test_what_is_a_matter_of_time_is_waited_for_and_told_once(acme, home: Path) -> None:
    task_id = add(acme, "--run-at", "+1h")

    async def drama() -> tuple[int | None, list[str]]:
        process = await _watch(home, task_id)
        assert process.stdout is not None
        try:
            seen = await _lines_until(process.stdout, "Its time has not come")
            await asyncio.to_thread(acme, "task", "edit", task_id, "--run-at", "+2h")
            seen += await _lines_until(process.stdout, "Its time has not come")
            await asyncio.to_thread(acme, "task", "cancel", task_id)
            seen += await _lines_until(process.stdout, "CANCELLED")
            return await asyncio.wait_for(process.wait(), 30), seen
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    code, seen = asyncio.run(drama())
    assert (code, len(seen)) == (exit_codes.FAILED, 3)


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
