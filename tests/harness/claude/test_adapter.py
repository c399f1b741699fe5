"""One attempt from start to report, with an agent that misbehaves."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.attempt import AgentMessage
from orchestrator.domain.mcp import McpServer
from orchestrator.domain.outcome import (
    ApiFailed,
    AuthenticationFailed,
    BudgetSpent,
    Cancelled,
    Completed,
    Crashed,
    Hung,
    Interrupted,
    Killed,
    NotStarted,
    Overloaded,
    RateLimited,
    ServerMissing,
    ToolSurplus,
    TurnLimitReached,
    WorkerFault,
)
from orchestrator.harness.claude.files import last_words
from orchestrator.harness.claude.places import Places
from orchestrator.harness.claude.run import Run

Attempting = Callable[..., Any]


def test_an_answer_completes_the_attempt(attempt: Attempting) -> None:
    it = attempt("say=working;result=all done;cost=0.25")
    report = it.report()
    assert report.outcome == Completed(answer="all done")
    assert report.usage.cost_usd == 0.25
    assert report.session_id == it.context.session_id
    assert report.exit_code == 0
    assert [message.sequence for message in it.messages] == [1, 2, 3]
    assert [message.kind for message in it.messages] == ["init", "text", "result"]
    assert report.enforcement["verified"]["held"]
    assert report.enforcement["answered"]["registered"]


def test_neither_prompt_nor_secret_is_on_the_command_line(attempt: Attempting, tmp_path: Path) -> None:
    dump = tmp_path / "dump.json"
    server = McpServer(name="notes", transport="http", url="http://127.0.0.1:1/", headers={"X": "${TOKEN}"})
    it = attempt(
        f"dump={dump}",
        context={
            "prompt": "/clear the SECRET-PROMPT",
            "role_instructions": "SECRET-ROLE",
            "mcp_servers": (server,),
            "secrets": {"TOKEN": "SECRET-TOKEN", "ANTHROPIC_API_KEY": "SECRET-KEY"},
        },
        config={"rehearsal": False},
    )
    it.report()
    seen = json.loads(dump.read_text())
    assert "SECRET" not in " ".join(seen["argv"])
    assert seen["servers"]["notes"]["headers"] == {"X": "SECRET-TOKEN"}
    launch = Path(it.context.attempt_directory) / "launch"
    assert not (launch / "mcp.json").exists()
    assert "Agent Role Instructions\n\nSECRET-ROLE" in (launch / "instructions.md").read_text()
    assert {path.stat().st_mode & 0o777 for path in launch.iterdir()} == {0o600}


def test_the_agent_sees_its_own_home_and_nothing_of_the_worker(
    attempt: Attempting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CODE_OAUTH_TOKEN", "the operator's")
    monkeypatch.setenv("AWS_PROFILE", "the operator's")
    dump = tmp_path / "dump.json"
    it = attempt(
        f"dump={dump}",
        config={"rehearsal": False},
        context={"secrets": {"ANTHROPIC_API_KEY": "k", "OTHER": "o"}},
    )
    it.report()
    facts = json.loads(dump.read_text())
    environment, own = facts["env"], it.context.attempt_directory
    assert "the operator's" not in environment.values()
    assert environment["ANTHROPIC_API_KEY"] == "k"
    assert "o" not in environment.values()
    assert environment["HOME"] == f"{own}/home"
    assert environment["CLAUDE_CONFIG_DIR"] == f"{own}/claude"
    temporary = Places.of(it.context).temporary
    assert environment["TMPDIR"] == environment["CLAUDE_CODE_TMPDIR"] == temporary
    assert facts["cwd"] == it.context.checkout
    assert facts["stdin"][1]["message"]["content"] == "Task:\nDo it."
    assert facts["stdin"][1]["client_composed"] is True
    assert Path(own).stat().st_mode & 0o777 == 0o700 or Path(f"{own}/home").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("init", "tools"),
    [
        ({"tools": ["Read", "Grep", "WebFetch"]}, ("WebFetch",)),
        ({"tools": ["Read", "Grep", "Task"]}, ("Task",)),
        ({"tools": ["Read", "mcp__foreign__x"]}, ("mcp__foreign__x",)),
        ({"mcp_servers": [{"name": "foreign", "status": "connected"}]}, ()),
        ({"permissionMode": "bypassPermissions"}, ()),
        ({"tools": None}, ()),
    ],
)
def test_more_than_the_profile_grants_ends_the_attempt_before_a_call(
    attempt: Attempting, tmp_path: Path, init: dict[str, Any], tools: tuple[str, ...]
) -> None:
    mark = tmp_path / "mark"
    it = attempt(f'init={json.dumps(init)};tool=Read:{{"file_path":"x"}};touch={mark};hang')
    report = it.report()
    assert isinstance(report.outcome, ToolSurplus), report.outcome
    assert report.outcome.tools == tools
    assert not report.enforcement["verified"]["held"]
    assert not any(call.granted for call in report.calls)


def test_a_tool_that_is_missing_is_only_a_warning(attempt: Attempting) -> None:
    report = attempt('init={"tools":["Read"]}').report()
    assert isinstance(report.outcome, Completed)
    assert "granted, but not there: Grep" in report.warnings


def test_each_call_is_answered_by_the_profile_and_recorded(attempt: Attempting) -> None:
    it = attempt(
        'tool=Read:{"file_path":"in.txt"};tool=Grep:{"pattern":"x","path":"/etc"};tool=Read:{"file":1};tool=Bash:{}'
    )
    report = it.report()
    assert [(call.tool, call.granted) for call in report.calls] == [
        ("Read", True),
        ("Grep", False),
        ("Read", False),
        ("Bash", False),
        ("Bash", False),
    ]
    assert "__system__" in report.calls[1].reason
    assert "Grep" in report.calls[1].reason
    told = [body for body in it.of_kind("system") if body["subtype"] == "tool_call_answered"]
    assert [body["granted"] for body in told] == [call.granted for call in report.calls]


def test_a_call_before_the_agent_said_what_it_is_is_refused(attempt: Attempting) -> None:
    report = attempt('no_init;tool=Read:{"file_path":"in.txt"}').report()
    assert [call.granted for call in report.calls] == [False, False]


@pytest.mark.parametrize(
    ("script", "timers", "timer"),
    [
        ("say=x;hang", {"stall": 0.5}, "stall"),
        ("deaf", {"start": 0.5}, "start"),
        ("no_init;hang", {"start": 0.5}, "start"),
    ],
)
def test_silence_ends_the_attempt(
    attempt: Attempting, script: str, timers: dict[str, float], timer: str
) -> None:
    report = attempt(script, timers=timers).report()
    assert isinstance(report.outcome, Hung)
    assert report.outcome.timer == timer


def test_the_attempt_has_a_time_of_its_own_whatever_is_said(attempt: Attempting) -> None:
    report = attempt("say=x;hang", timeout_seconds=1.0).report()
    assert isinstance(report.outcome, Hung)
    assert report.outcome.timer == "total"
    assert "timeout_seconds" in report.outcome.message


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("silent", Crashed),
        ("no_result", Crashed),
        ("say=x;crash=3", Crashed),
        ("half_line", Crashed),
        ("crash=3;no_init", NotStarted),
        ("crash=-9", Killed),
        ("error=error_max_turns", TurnLimitReached),
        ("error=error_max_budget_usd", BudgetSpent),
        ("error=error_during_execution", Crashed),
        ("error=error_never_heard_of", Crashed),
        ("api_error=401", AuthenticationFailed),
        ("api_error=403", AuthenticationFailed),
        ("api_error=429", RateLimited),
        ("api_error=529", Overloaded),
        ("api_error=500", ApiFailed),
        ("api_error=400", ApiFailed),
    ],
)
def test_each_way_to_end_is_its_own_outcome(attempt: Attempting, script: str, kind: type) -> None:
    report = attempt(script).report()
    assert isinstance(report.outcome, kind), report.outcome
    assert len(report.outcome.message) > 20


def test_a_limit_says_when_it_is_lifted(attempt: Attempting) -> None:
    report = attempt("rate_limit=1900000000;api_error=429").report()
    assert isinstance(report.outcome, RateLimited)
    assert report.outcome.reset_at == 1900000000.0


def retry(status: int, delay_ms: int) -> str:
    return json.dumps(
        {
            "type": "system",
            "subtype": "api_retry",
            "attempt": 1,
            "error_status": status,
            "retry_delay_ms": delay_ms,
        }
    )


def test_wrong_credentials_are_not_tried_for_three_minutes(attempt: Attempting) -> None:
    started = time.monotonic()
    report = attempt(f"raw={retry(401, 500)};hang").report()
    assert isinstance(report.outcome, AuthenticationFailed)
    assert time.monotonic() - started < 60


def test_a_long_wait_for_a_limit_is_spent_outside_the_slot(attempt: Attempting) -> None:
    before = time.time()
    report = attempt(f"raw={retry(429, 600_000)};hang").report()
    assert isinstance(report.outcome, RateLimited)
    assert report.outcome.reset_at is not None
    assert before + 590 < report.outcome.reset_at < time.time() + 601


def test_a_short_wait_for_a_limit_is_waited_for(attempt: Attempting) -> None:
    assert isinstance(attempt(f"raw={retry(429, 1000)}").report().outcome, Completed)


def test_tokens_beyond_the_limit_end_the_attempt(attempt: Attempting, tmp_path: Path) -> None:
    report = attempt("say=x;hang", max_tokens_per_task=5).report()
    assert isinstance(report.outcome, BudgetSpent)
    assert report.outcome.unit == "tokens"


@pytest.mark.parametrize("asked", [Interrupted(), Cancelled()])
def test_an_interrupted_attempt_ends_as_it_was_asked(
    attempt: Attempting, asked: Interrupted | Cancelled
) -> None:
    async def at_init(run: Run, message: AgentMessage) -> None:
        if message.kind == "init":
            await run.interrupt(asked)

    report = asyncio.run(attempt("say=x;hang").run(at_init))
    assert report.outcome == asked


def test_an_agent_that_does_not_listen_is_ended_all_the_same(attempt: Attempting) -> None:
    async def at_text(run: Run, message: AgentMessage) -> None:
        if message.kind == "text":
            await run.interrupt()

    started = time.monotonic()
    report = asyncio.run(attempt("ignore_term;ignore_interrupt;say=x;hang").run(at_text))
    assert report.outcome == Interrupted()
    assert time.monotonic() - started < 60


def test_an_interrupt_before_the_start_is_not_forgotten(attempt: Attempting) -> None:
    async def whole() -> Any:
        it = attempt("say=x;hang")
        async with it.running() as run:
            await run.interrupt(Cancelled())
            async for _ in run:
                pass
        return run.report.outcome

    assert asyncio.run(whole()) == Cancelled()


def test_an_answer_that_came_before_the_interrupt_counts(attempt: Attempting) -> None:
    async def at_result(run: Run, message: AgentMessage) -> None:
        if message.kind == "result":
            await run.interrupt()

    assert asyncio.run(attempt("result=42").run(at_result)).outcome == Completed(answer="42")


def test_a_process_that_stays_after_its_result_is_ended(attempt: Attempting) -> None:
    started = time.monotonic()
    report = attempt("result=42;hang_after_result", timers={"drain": 0.3}).report()
    assert report.outcome == Completed(answer="42")
    assert time.monotonic() - started < 60


def test_leaving_the_scope_ends_the_process(attempt: Attempting) -> None:
    async def leave() -> int:
        it = attempt("say=x;hang")
        async with it.running() as run:
            async for message in run:
                if message.kind == "text":
                    break
            assert run.identity is not None
        return run.identity.pid

    pid = asyncio.run(leave())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def test_of_several_results_the_last_counts_and_no_denial_is_lost(attempt: Attempting) -> None:
    task = json.dumps({"type": "system", "subtype": "task_started", "task_id": "b1"})
    done = json.dumps({"type": "system", "subtype": "task_notification", "task_id": "b1"})
    report = attempt(
        f'tool=Read:{{"file_path":"/etc/passwd"}};raw={task};twice;raw={done};cost=0.5;result=late'
    ).report()
    assert report.outcome == Completed(answer="late")
    assert report.usage.cost_usd == 0.5
    assert report.enforcement["answered"]["denied_by_agent"] == 1


def test_output_of_any_size_and_kind_reaches_the_worker(attempt: Attempting) -> None:
    it = attempt('big=20971520;bad_utf8;raw=not json;raw=[1];raw={"type":"brand_new","x":1};lines=500')
    report = it.report()
    assert isinstance(report.outcome, Completed)
    assert len(it.of_kind("text")[0]["text"]) == 20971520
    unknown = it.of_kind("unknown")
    assert {"type": "brand_new", "x": 1} in unknown
    assert {"type": "not_json", "text": "not json"} in unknown
    assert len([body for body in it.of_kind("system") if body["subtype"] == "noise"]) == 501


def test_a_prompt_of_two_mebibytes_arrives_complete(attempt: Attempting, tmp_path: Path) -> None:
    prompt = "ä€🙂x" * (2 << 20 >> 3)
    dump = tmp_path / "dump.json"
    report = attempt(f"dump={dump}", context={"prompt": prompt}).report()
    assert isinstance(report.outcome, Completed)
    assert json.loads(dump.read_text())["stdin"][1]["message"]["content"] == f"Task:\n{prompt}"


def test_a_prompt_beyond_the_limit_is_refused_at_the_edge(attempt: Attempting) -> None:
    report = attempt(context={"prompt": "x" * (9 << 20)}).report()
    assert isinstance(report.outcome, NotStarted)
    assert "files" in report.outcome.message


@pytest.mark.parametrize("allow", [False, True])
@pytest.mark.parametrize("sandboxed", [False, True])
def test_bypass_needs_profile_policy_and_sandbox(
    attempt: Attempting, tmp_path: Path, allow: bool, sandboxed: bool
) -> None:
    dump = tmp_path / "dump.json"
    it = attempt(
        f"dump={dump}",
        permission_mode="bypassPermissions",
        config={"allow_bypass": allow, "sandboxed": sandboxed},
    )
    report = it.report()
    if allow and sandboxed:
        assert isinstance(report.outcome, Completed)
        assert json.loads(dump.read_text())["env"]["IS_SANDBOX"] == "1"
    else:
        assert isinstance(report.outcome, NotStarted)
        assert "bypassPermissions" in report.outcome.message
        assert not it.messages


@pytest.mark.parametrize(
    ("profile", "word"),
    [
        ({"permission_mode": "yolo"}, "yolo"),
        ({"allowed_tools": ("Read,Bash",)}, "','"),
        ({"allowed_tools": ("Bash(git *)",)}, "wildcard"),
        ({"denied_tools": ("a b",)}, "' '"),
        ({"model": "--dangerously-skip-permissions"}, "model"),
        ({"settings": {"hooks": {}}}, "hooks"),
        ({"settings": {"efort": "low"}}, "effort"),
    ],
)
def test_what_the_command_line_would_take_silently_is_refused(
    attempt: Attempting, profile: dict[str, Any], word: str
) -> None:
    report = attempt(**profile).report()
    assert isinstance(report.outcome, NotStarted)
    assert word in report.outcome.message


def test_a_session_whose_transcript_is_gone_says_so(attempt: Attempting, tmp_path: Path) -> None:
    report = attempt(context={"resume_transcript": str(tmp_path / "gone.jsonl")}).report()
    assert isinstance(report.outcome, NotStarted)
    assert "gone.jsonl" in report.outcome.message


def test_a_secret_that_is_not_there_names_server_and_secret(attempt: Attempting) -> None:
    server = McpServer(name="notes", transport="http", url="http://127.0.0.1:1/", headers={"X": "${TOKEN}"})
    report = attempt(context={"mcp_servers": (server,)}).report()
    assert isinstance(report.outcome, NotStarted)
    assert "notes" in report.outcome.message
    assert "TOKEN" in report.outcome.message


def test_a_server_that_the_agent_does_not_know_is_missing(attempt: Attempting) -> None:
    server = McpServer(name="notes", transport="stdio", command="x", env={"FAKE_FAULT": ""})
    report = attempt(context={"mcp_servers": (server,)}).report()
    assert isinstance(report.outcome, ServerMissing)
    assert report.outcome.servers == ("notes",)


def test_the_secrets_of_servers_are_on_disk_until_the_agent_has_read_them_and_no_longer(
    attempt: Attempting, tmp_path: Path
) -> None:
    """However its worker may end afterwards: the file is gone while the agent is still at work."""
    go, server = (
        tmp_path / "go",
        McpServer(name="notes", transport="stdio", command="x", env={"A": "${TOKEN}"}),
    )
    it = attempt(f"wait_for={go}", context={"mcp_servers": (server,), "secrets": {"TOKEN": "SECRET-TOKEN"}})
    file = Path(Places.of(it.context).mcp_file)

    async def run() -> None:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            running = group.create_task(it.run())
            while not file.exists() and not running.done():  # noqa: ASYNC110 - it is only there for a moment
                await asyncio.sleep(0)
            while file.exists():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
            assert not running.done()
            go.touch()

    asyncio.run(run())


def test_a_server_that_does_not_start_is_told_with_what_it_said_itself(
    attempt: Attempting, tmp_path: Path
) -> None:
    server = McpServer(
        name="no.tes",
        transport="stdio",
        command="x",
        env={"FAKE_FAULT": "closed", "FAKE_STDERR": "no licence"},
    )
    report = attempt(context={"mcp_servers": (server,)}).report()
    assert isinstance(report.outcome, ServerMissing)
    assert "no.tes (failed: closed: no licence)" in report.outcome.message
    report = attempt(context={"mcp_servers": (server,)}, optional_servers=("no.tes",)).report()
    assert report.outcome == Completed(answer="done")
    assert "going on without optional MCP servers: no.tes (failed: closed: no licence)" in report.warnings


@pytest.mark.parametrize(
    "log", [b"", b"\xff\xfe", b"[]\n{", b'{"error": 3}', b"[" * 100_000, b"x" * 2_000_000]
)
def test_a_log_that_is_none_says_nothing(tmp_path: Path, log: bytes) -> None:
    place = tmp_path / "home" / ".cache" / "claude-cli-nodejs" / "x" / "mcp-logs-notes"
    place.mkdir(parents=True)
    (place / "1.jsonl").write_bytes(log)
    places = Places.below(str(tmp_path))
    assert last_words(places, ["notes"]) == {}


def test_a_place_that_cannot_be_written_is_a_fault_of_ours(attempt: Attempting, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    report = attempt(context={"attempt_directory": str(tmp_path / "file" / "below")}).report()
    assert isinstance(report.outcome, WorkerFault)
    assert str(tmp_path) in report.outcome.message


def test_no_more_agents_start_at_once_than_there_are_cores(attempt: Attempting, tmp_path: Path) -> None:
    async def both() -> None:
        go = tmp_path / "go"
        first = attempt(f"no_init;touch={tmp_path}/first;wait_for={go}")
        second = attempt(f"touch={tmp_path}/second")
        first.adapter._starts = second.adapter._starts = asyncio.Semaphore(1)
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            group.create_task(first.run())
            while not (tmp_path / "first").exists():  # noqa: ASYNC110 - the agent can only touch a file
                await asyncio.sleep(0.01)
            task = group.create_task(second.run())
            await asyncio.wait([task], timeout=0.5)
            assert not (tmp_path / "second").exists()
            go.touch()
        assert (tmp_path / "second").exists()

    asyncio.run(both())


def test_reading_slowly_is_no_silence(attempt: Attempting) -> None:
    async def slowly() -> Any:
        it = attempt("lines=600;result=42", timers={"stall": 0.4})
        async with it.running() as run:
            await asyncio.sleep(1.0)
            async for _ in run:
                pass
        return run.report.outcome

    assert asyncio.run(slowly()) == Completed(answer="42")


def test_the_run_is_numbered_and_timed_by_the_clock_it_is_given(attempt: Attempting) -> None:
    it = attempt("say=x")
    it.adapter = type(it.adapter)(isolation=it.adapter._isolation, clock=lambda: 1234.5)
    it.report()
    assert {message.at for message in it.messages} == {1234.5}


def test_an_unknown_version_is_treated_as_the_nearest_lower_one(
    attempt: Attempting, fake_cli: str, tmp_path: Path
) -> None:
    newer = tmp_path / "newer"
    newer.write_text(Path(fake_cli).read_text().replace("2.1.329", "2.1.400"))
    newer.chmod(0o755)
    it = attempt(cli=str(newer))
    report = it.report()
    assert report.cli_version == "2.1.400"
    assert any("2.1.400" in text for text in report.warnings)
    assert replace(it.config, cli_path=None) != it.config
