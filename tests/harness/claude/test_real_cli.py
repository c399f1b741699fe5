"""The adapter with the real command line: what is known to go wrong there, provoked. Nothing leaves
loopback."""

import asyncio
import json
import re
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from orchestrator.domain.attempt import AgentMessage
from orchestrator.domain.mcp import McpServer
from orchestrator.domain.outcome import (
    ApiFailed,
    AuthenticationFailed,
    BudgetSpent,
    Cancelled,
    Completed,
    Interrupted,
    ModelRefused,
    Overloaded,
    RateLimited,
    ServerMissing,
    ToolSurplus,
    TurnLimitReached,
)
from orchestrator.harness.claude.places import Places
from orchestrator.harness.claude.report import Report
from orchestrator.harness.claude.run import Run
from orchestrator.rehearsal import (
    Failure,
    Reply,
    Script,
    Server,
    Tokens,
    ToolCall,
    probe,
    serve,
    steps,
)
from orchestrator.vault.document import Parsed, parse

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.real_cli
Attempting = Callable[..., Any]
T = TypeVar("T")
ANSWER = steps(Reply(text="fine"), label=False)


def wait(work: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(100):
            return await work

    return asyncio.run(bounded())


def against(server: Server, cli: str, **more: Any) -> dict[str, Any]:
    """Config and command line of an attempt against this rehearsal."""
    return {"cli": cli, "config": {"environment": {}, "base_url": server.url, **more}}


def sent(server: Server) -> str:
    return json.dumps([request.body for request in server.requests], ensure_ascii=False)


@pytest.fixture
def at_once(attempt: Attempting, real_cli: str) -> Callable[..., list[tuple[Report, Server]]]:
    """Run one attempt for each script, all at the same time; the keywords are the profile's."""

    def run(*scripts: Script, **profile: Any) -> list[tuple[Report, Server]]:
        async def one(script: Script) -> tuple[Report, Server]:
            async with serve(script) as server:
                it = attempt(**against(server, real_cli, max_retries=1), **profile)
                return await it.run(), server

        async def all_of_them() -> list[tuple[Report, Server]]:
            return list(await asyncio.gather(*map(one, scripts)))

        return wait(all_of_them())

    return run


def failing(status: int, kind: str = "api_error", **headers: str) -> Script:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return steps(Reply(fault=Failure(status=status, type=kind, headers=named)))


def test_errors_of_the_service_are_told_apart_by_their_fields(at_once: Any) -> None:
    expected: dict[type, list[Script]] = {
        AuthenticationFailed: [failing(401, "authentication_error"), failing(403, "permission_error")],
        ApiFailed: [failing(400, "invalid_request_error"), failing(404, "not_found_error"), failing(500)],
        RateLimited: [failing(429, "rate_limit_error"), failing(429, "rate_limit_error", retry_after="3600")],
        Overloaded: [failing(529, "overloaded_error")],
        ModelRefused: [
            steps(Reply(text="no", stop_reason="refusal")),
            steps(Reply(text="x", stop_reason="max_tokens")),
        ],
    }
    scripts = [(kind, script) for kind, group in expected.items() for script in group]
    started = time.monotonic()
    reports = at_once(*(script for _, script in scripts))
    for (kind, _), (report, _server) in zip(scripts, reports, strict=True):
        assert isinstance(report.outcome, kind), report.outcome
        assert len(report.outcome.message) > 20
    assert time.monotonic() - started < 60, "wrong credentials were tried for minutes"


def test_limits_of_turns_money_and_tokens_end_the_attempt(at_once: Any) -> None:
    endless = steps(
        Reply(tools=(ToolCall(name="Glob", input={"pattern": "*"}),), usage=Tokens(output_tokens=5000))
    )
    tools = {"allowed_tools": ("Glob",)}
    [(turns, _)] = at_once(endless, **tools, max_turns=2)
    assert isinstance(turns.outcome, TurnLimitReached)
    [(money, _)] = at_once(endless, **tools, max_budget_usd=0.01)
    assert money.outcome == BudgetSpent(message=money.outcome.message, unit="usd")
    assert money.usage.cost_usd > 0.01
    [(tokens, server)] = at_once(endless, **tools, max_tokens_per_task=12000)
    assert tokens.outcome == BudgetSpent(message=tokens.outcome.message, unit="tokens")
    assert len(server.requests) <= 4


def spoken(server: Server) -> str:
    """The text of the latest request's messages."""
    contents = [message["content"] for message in server.requests[-1].messages]
    blocks = [
        block for content in contents for block in (content if isinstance(content, list) else [content])
    ]
    return "".join(block.get("text", "") if isinstance(block, dict) else str(block) for block in blocks)


def test_a_prompt_is_only_text(attempt: Attempting, real_cli: str, tmp_path: Path) -> None:
    """Neither `@file` nor a slash does anything."""
    (tmp_path / "canary.txt").write_text("canary-of-the-file")
    prompts = [f"@{tmp_path}/canary.txt look", "/clear", "/compact now"]

    async def scenario() -> None:
        async with serve(ANSWER) as server:
            for prompt in prompts:
                report = await attempt(**against(server, real_cli), context={"prompt": prompt}).run()
                assert report.outcome == Completed(answer="fine")
                assert f"Task:\n{prompt}" in spoken(server)
            assert len(server.requests) == len(prompts)
            assert "canary-of-the-file" not in sent(server)

    wait(scenario())


def test_a_prompt_of_two_mebibytes_arrives_complete_or_is_refused_clearly(
    attempt: Attempting, real_cli: str
) -> None:
    prompt = ("ä€x-🙂 " * (1 + (2 << 20) // 12)).strip()

    async def scenario() -> None:
        async with serve(ANSWER) as server:
            it = attempt(**against(server, real_cli), context={"prompt": prompt})
            report = await it.run()
            if (
                report.cli_version == "2.1.197"
            ):  # it does not know this model, and takes its window to be small
                assert isinstance(report.outcome, ModelRefused)
                assert "too long" in report.outcome.message
                assert not server.requests
            else:
                assert report.outcome == Completed(answer="fine"), report.outcome
                assert f"Task:\n{prompt}" in spoken(server)

    wait(scenario())


def test_the_checkout_brings_nothing_that_runs(attempt: Attempting, real_cli: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serve(ANSWER) as server:
            it = attempt(**against(server, real_cli))
            mark = tmp_path / "ran"
            hook = {"hooks": [{"type": "command", "command": f"touch {mark}"}]}
            (it.checkout / ".claude").mkdir()
            settings = {
                "hooks": {"SessionStart": [hook]},
                "permissions": {"allow": ["Bash"]},
                "model": "other",
            }
            (it.checkout / ".claude" / "settings.json").write_text(json.dumps(settings))
            (it.checkout / "CLAUDE.md").write_text("canary-of-the-checkout")
            foreign = {"mcpServers": {"foreign": {"command": "/bin/touch", "args": [str(mark)]}}}
            (it.checkout / ".mcp.json").write_text(json.dumps(foreign))
            report = await it.run()
            assert report.outcome == Completed(answer="fine")
            assert report.enforcement["verified"]["servers"] == {}
            assert not mark.exists()
            assert "canary-of-the-checkout" not in sent(server)
            assert server.requests[0].model == "claude-sonnet-5-5"

    wait(scenario())


def test_nothing_of_the_agent_is_left_when_it_is_interrupted(
    attempt: Attempting, real_cli: str, tmp_path: Path
) -> None:
    """Daemons in sessions of their own and a background command included."""
    number = f"8{uuid.uuid4().int % 10**9}"
    command = (
        f"setsid -f sleep {number}; env -i setsid -f sleep {number}; touch {tmp_path}/there; sleep {number}"
    )
    calls = probe([ToolCall(name="Bash", input={"command": command})])

    async def scenario() -> Report:
        async with serve(calls) as server:
            it = attempt(**against(server, real_cli), allowed_tools=("Bash",))

            async def when_there(run: Run, message: AgentMessage) -> None:
                if message.kind == "system" and message.body.get("subtype") == "tool_call_answered":
                    # A process has its name a moment after the shell has gone on.
                    while not (tmp_path / "there").exists() or len(living(number)) < 3:  # noqa: ASYNC110 - of others
                        await asyncio.sleep(0.02)
                    await run.interrupt(Cancelled())

            return await it.run(when_there)

    report = wait(scenario())
    assert report.outcome == Cancelled()
    assert living(number) == []


def living(argument: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if argument.encode() in words and words[0].endswith(b"sleep"):
            found.append(path.parent.name)
    return found


@pytest.mark.parametrize("depth", ["near", "d" * 90], ids=["near", "too deep for a socket"])
def test_attempts_share_no_place_in_which_they_could_meet(
    attempt: Attempting, real_cli: str, depth: str, tmp_path: Path
) -> None:
    """Sessions of one HOME can send each other messages in 2.1.329, and so can those whose path is too long
    for a socket of their own."""
    seen = "echo socket=$CLAUDE_CODE_MESSAGING_SOCKET config=$CLAUDE_CONFIG_DIR home=$HOME"
    calls = probe([ToolCall(name="Bash", input={"command": seen})])

    async def scenario() -> None:
        async with serve(calls) as server:
            it = attempt(**against(server, real_cli), allowed_tools=("Bash",))
            deep = f"{it.context.attempt_directory}-{depth}"
            it.context = replace(it.context, attempt_directory=deep)
            await it.run()
            [result] = it.of_kind("tool_result")
            found = dict(word.partition("=")[::2] for word in str(result["content"]).split())
            assert found["config"] == f"{it.context.attempt_directory}/claude"
            temporary = Places.of(it.context).temporary
            for place in filter(None, found.values()):
                assert place.startswith((it.context.attempt_directory, temporary))
            assert Path(temporary).exists() == temporary.startswith(it.context.attempt_directory)

    wait(scenario())


def test_a_background_command_does_not_keep_the_process(at_once: Any) -> None:
    call = ToolCall(name="Bash", input={"command": "sleep 33", "run_in_background": True})
    started = time.monotonic()
    [(report, _)] = at_once(
        steps(Reply(tools=(call,)), Reply(text="fine"), label=False), allowed_tools=("Bash",)
    )
    assert isinstance(report.outcome, Completed | Interrupted)
    assert report.exit_code == 0
    assert time.monotonic() - started < 60


def test_a_session_goes_on_with_new_instructions_and_its_own_bill(attempt: Attempting, real_cli: str) -> None:
    async def scenario() -> None:
        async with serve(ANSWER) as server:
            target = against(server, real_cli)
            first = attempt(**target, context={"role_instructions": "canary-old"})
            before = await first.run()
            assert before.transcript is not None
            record = Path(before.transcript).read_bytes()
            going_on = {
                "session_id": before.session_id,
                "resume_transcript": before.transcript,
                "role_instructions": "canary-new",
            }
            second = attempt(**target, context={**going_on, "prompt": "Go on."})
            after = await second.run()
            assert after.outcome == Completed(answer="fine")
            assert after.session_id == before.session_id
            assert [m["role"] for m in server.requests[-1].messages].count("assistant") == 1
            assert "Task:\nDo it." in json.dumps(server.requests[-1].messages).replace("\\n", "\n")
            assert "canary-new" in server.requests[-1].system
            assert "canary-old" not in server.requests[-1].system
            assert after.usage.cost_usd == pytest.approx(before.usage.cost_usd, rel=0.2)
            assert after.transcript is not None
            assert after.transcript.startswith(second.context.attempt_directory)
            assert Path(before.transcript).read_bytes() == record, "the earlier record was written to"
            third = attempt(
                **target,
                context={**going_on, "resume_transcript": after.transcript, "prompt": "And on."},
            )
            last = await third.run()
            assert last.outcome == Completed(answer="fine")
            assert [m["role"] for m in server.requests[-1].messages].count("assistant") == 2
            assert last.usage.cost_usd == pytest.approx(before.usage.cost_usd, rel=0.2)

    wait(scenario())


def test_a_slow_server_is_waited_for(
    attempt: Attempting, real_cli: str, stdio_server: Callable[..., McpServer]
) -> None:
    async def scenario() -> None:
        async with serve(ANSWER) as server:
            it = attempt(
                **against(server, real_cli),
                context={"mcp_servers": (stdio_server("linter", "ping", MCP_DELAY="2.5"),)},
                allowed_tools=("Read", "mcp__linter__ping"),
                mcp_servers=("linter",),
            )
            report = await it.run()
            assert report.outcome == Completed(answer="fine")
            assert set(server.requests[0].tools) == {"Read", "mcp__linter__ping"}

    wait(scenario())


def test_a_server_sees_no_key_and_offers_no_more_than_is_granted(
    attempt: Attempting, real_cli: str, stdio_server: Callable[..., McpServer], tmp_path: Path
) -> None:
    """What else it has is learned by a first start, hidden in a second one, and known from then on."""
    linter = stdio_server(TOKEN="${LINTER_TOKEN}")
    secrets = {"LINTER_TOKEN": "for-the-linter", "ANTHROPIC_API_KEY": "for-the-agent"}

    def facts(kind: str) -> list[Any]:
        lines = (tmp_path / "linter.log").read_text().splitlines()
        return [fact[kind] for fact in map(json.loads, lines) if kind in fact]

    async def scenario() -> None:
        call = probe([ToolCall(name="mcp__linter__ping"), ToolCall(name="mcp__linter__other")])
        async with serve(call) as server:
            attempts = [
                attempt(
                    **against(server, real_cli, rehearsal=False),
                    context={"mcp_servers": (linter,), "secrets": secrets},
                    allowed_tools=("Read", "mcp__linter__ping"),
                    mcp_servers=("linter",),
                )
                for _ in range(2)
            ]
            attempts[1].adapter = attempts[0].adapter
            for it, starts in zip(attempts, (2, 3), strict=True):
                report = await it.run()
                assert isinstance(report.outcome, Completed)
                assert set(report.enforcement["verified"]["tools"]) == {"Read", "mcp__linter__ping"}
                assert len(facts("environment")) == starts
            assert {name for request in server.requests for name in request.tools} == {
                "Read",
                "mcp__linter__ping",
            }
            assert facts("called") == ["ping", "ping"]
            assert facts("environment")[0]["TOKEN"] == "for-the-linter"
            assert "for-the-agent" not in json.dumps(facts("environment"))

    wait(scenario())


def test_a_server_that_fails_ends_the_attempt_before_anything_is_spent(
    attempt: Attempting, real_cli: str
) -> None:
    async def scenario() -> None:
        async with serve(ANSWER) as server:
            broken = McpServer(name="broken", transport="stdio", command="/nonexistent/server")
            refused = McpServer(name="refused", transport="http", url="http://127.0.0.1:9/mcp")
            dying = ("-c", "import sys; sys.exit('there is no licence')")
            servers = (
                broken,
                refused,
                McpServer(name="dying", transport="stdio", command="python3", args=dying),
            )
            it = attempt(
                **against(server, real_cli),
                context={"mcp_servers": servers},
                mcp_servers=("broken", "refused", "dying"),
            )
            report = await it.run()
            assert isinstance(report.outcome, ServerMissing)
            assert report.outcome.servers == ("broken", "dying", "refused")
            assert "ENOENT" in report.outcome.message
            assert "there is no licence" in report.outcome.message
            assert not server.requests

    wait(scenario())


def test_plan_mode_means_no_change_even_where_tools_are_granted(at_once: Any, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    calls = probe(
        [
            ToolCall(name="Bash", input={"command": f"touch {checkout}/bash.txt"}),
            ToolCall(name="Write", input={"file_path": f"{checkout}/write.txt", "content": "x"}),
        ]
    )
    tools = ("Read", "Bash", "Write")
    [(planned, _)] = at_once(calls, allowed_tools=tools, permission_mode="plan")
    assert isinstance(planned.outcome, Completed)
    assert list(checkout.iterdir()) == []
    [(done, _)] = at_once(calls, allowed_tools=tools)
    assert isinstance(done.outcome, Completed)
    assert {path.name for path in checkout.iterdir()} == {"bash.txt", "write.txt"}


def test_a_denied_tool_is_not_there_although_it_is_allowed(at_once: Any) -> None:
    [(report, server)] = at_once(ANSWER, allowed_tools=("Read", "Bash"), denied_tools=("Bash",))
    assert report.enforcement["verified"]["tools"] == ["Read"]
    assert server.requests[0].tools == ("Read",)


def test_a_process_with_more_tools_than_asked_for_is_ended_before_it_acts(
    attempt: Attempting, real_cli: str, tmp_path: Path
) -> None:
    """A command line that widens its own list: the second layer has to see it."""
    wide = tmp_path / "claude"
    wide.write_text(f'#!/bin/bash\nexec {real_cli} "${{@/#--tools=*/--tools=default}}"\n')
    wide.chmod(0o755)

    async def scenario() -> None:
        mark = tmp_path / "mark"
        call = ToolCall(name="Bash", input={"command": f"touch {mark}"})
        async with serve(probe([call])) as server:
            it = attempt(
                **against(server, str(wide), allow_bypass=True, sandboxed=True),
                permission_mode="bypassPermissions",
            )
            report = await it.run()
            assert isinstance(report.outcome, ToolSurplus)
            assert "Bash" in report.outcome.tools
            assert not mark.exists()

    wait(scenario())


def test_no_tools_at_all_is_none(at_once: Any) -> None:
    [(report, server)] = at_once(ANSWER, allowed_tools=())
    assert report.outcome == Completed(answer="fine")
    assert server.requests[0].tools == ()


def test_every_tool_of_the_starter_profiles_is_really_there(at_once: Any) -> None:
    """A profile that names a tool which the command line has under another name promises too much."""
    for document in sorted((ROOT / "vault" / "agent-types").glob("*/profile.md")):
        parsed = parse(document.read_bytes(), profile_id=document.parent.name)
        assert isinstance(parsed, Parsed)
        assert parsed.profile.allowed_tools
        [(report, server)] = at_once(ANSWER, allowed_tools=parsed.profile.allowed_tools)
        assert set(server.requests[0].tools) == set(parsed.profile.allowed_tools), document
        assert report.warnings == ()


def test_a_slow_reader_loses_nothing(attempt: Attempting, real_cli: str) -> None:
    text = "".join(f"line {number} of a long answer\n" for number in range(60_000))

    async def scenario() -> None:
        async with serve(steps(Reply(text=text, piece=1 << 16), label=False)) as server:
            it = attempt(**against(server, real_cli))
            async with it.running() as run:
                await asyncio.sleep(2.5)
                async for message in run:
                    it.messages.append(message)
            assert run.report.outcome == Completed(answer=text.strip()) or run.report.outcome == Completed(
                answer=text
            )
            assert it.of_kind("text")[0]["text"].strip() == text.strip()

    wait(scenario())


def test_the_real_versions_are_found_and_known(attempt: Attempting, real_cli: str) -> None:
    it = attempt(cli=real_cli)
    cli = it.adapter.finder.find(real_cli)
    assert cli.warning is None
    assert re.fullmatch(r"\d+\.\d+\.\d+", cli.version)
    assert it.adapter.finder.find(real_cli) is cli
    assert replace(cli, source="PATH").path == real_cli
