"""The real command line against a rehearsal: no network, no credentials."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.rehearsal import (
    DEFAULT,
    CutOff,
    Failure,
    Hang,
    Malformed,
    Reply,
    Rule,
    Script,
    Server,
    StreamError,
    Tokens,
    ToolCall,
    probe,
    serve,
    steps,
)
from orchestrator.rehearsal.known_tools import environment

pytestmark = pytest.mark.real_cli


class Run:
    """What one run printed, and what the server was asked."""

    def __init__(self, lines: list[dict[str, Any]], server: Server) -> None:
        self.lines = lines
        self.requests = server.requests

    @property
    def result(self) -> dict[str, Any]:
        return self.lines[-1]

    @property
    def init(self) -> dict[str, Any]:
        return next(line for line in self.lines if line.get("subtype") == "init")

    @property
    def refused(self) -> list[bool]:
        """For each tool call in its order, whether it came back as an error. Results come in any order."""
        said = [line["message"]["content"] for line in self.lines if line["type"] == "user"]
        blocks = [block for content in said for block in content if isinstance(block, dict)]
        results = {block["tool_use_id"]: block.get("is_error") is True for block in blocks}
        return [results[call] for call in sorted(results)]


def rehearse(executable: Path, script: Script, home: Path, *arguments: str, **extra: str) -> Run:
    """Run one task to its result. Standard input stays open until then, or the output may be cut."""

    async def body() -> Run:
        async with asyncio.timeout(60), serve(script) as server:
            process = await asyncio.create_subprocess_exec(
                executable,
                *("-p", "--input-format=stream-json", "--output-format=stream-json", "--verbose"),
                *("--strict-mcp-config", "--setting-sources=", "--permission-mode=dontAsk"),
                *("--model=claude-sonnet-5", "--tools=Read,Grep", *arguments),
                cwd=home,
                env=environment(server, str(home)) | {"CLAUDE_CODE_MAX_RETRIES": "1"} | extra,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=64 << 20,
            )
            assert process.stdin is not None
            assert process.stdout is not None
            message = {"type": "user", "message": {"role": "user", "content": "Task: go"}}
            process.stdin.write(json.dumps(message).encode() + b"\n")
            lines: list[dict[str, Any]] = []
            try:
                while not lines or lines[-1]["type"] != "result":
                    lines.append(json.loads(await process.stdout.readline()))
                process.stdin.close()
                await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            return Run(lines, server)

    return asyncio.run(body())


def test_the_default_script_looks_round_and_ends_with_the_tools_offered(
    executable: Path, tmp_path: Path
) -> None:
    (tmp_path / "README.md").write_text("hello\n")
    run = rehearse(executable, DEFAULT, tmp_path)
    assert run.result["is_error"] is False
    assert run.result["result"].startswith("[rehearsal] This is a rehearsal")
    assert "Tools offered to the model (2): Grep, Read" in run.result["result"]
    assert run.refused == [False]
    assert {request.session_id for request in run.requests} == {run.init["session_id"]}
    assert run.requests[0].prompt == "Task: go"
    assert [request.step for request in run.requests] == [0, 1]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_probe_shows_which_calls_are_refused(executable: Path, tmp_path: Path, one_by_one: bool) -> None:
    (tmp_path / "README.md").write_text("hello\n")
    calls = (
        ToolCall(name="Bash", input={"command": f"touch {tmp_path}/touched"}),
        ToolCall(name="Read", input={"file_path": str(tmp_path / "README.md")}),
        ToolCall(name="mcp__other__thing"),
    )
    run = rehearse(executable, probe(calls, one_by_one=one_by_one), tmp_path)
    assert run.refused == [True, False, True]
    assert run.result["result"] == "[rehearsal] Probed."
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "fault",
    [Failure(status=529, type="overloaded_error"), CutOff(), CutOff(where="before_headers"), StreamError()],
    ids=["overloaded", "cut off", "cut off before headers", "error event"],
)
def test_a_fault_at_first_then_an_answer(executable: Path, tmp_path: Path, fault: Any) -> None:
    broken = Rule(replies=(Reply(text="lost", fault=fault),), times=1)
    run = rehearse(executable, Script(rules=(broken,), default=Reply(text="Done.")), tmp_path)
    assert run.result["result"] == "[rehearsal] Done."
    assert [request.answered_by for request in run.requests] == ["rule 1", "default"]


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(fault=Failure(status=429, type="rate_limit_error", headers={"retry-after": "3600"})), 429),
        (Reply(fault=Failure(status=403, type="permission_error")), 403),
        (Reply(text="x", fault=Malformed()), None),
        (Reply(text="x", stop_reason="refusal"), None),
    ],
    ids=["rate limit", "forbidden", "malformed", "refusal"],
)
def test_a_fault_for_good_ends_as_an_error(
    executable: Path, tmp_path: Path, reply: Reply, status: int | None
) -> None:
    run = rehearse(executable, steps(reply), tmp_path)
    assert run.result["is_error"] is True
    assert run.result.get("api_error_status") == status


def test_a_hang_before_the_headers_lasts_as_long_as_the_client_waits(
    executable: Path, tmp_path: Path
) -> None:
    script = Script(rules=(Rule(replies=(Reply(fault=Hang()),), times=1),), default=Reply(text="At last."))
    run = rehearse(executable, script, tmp_path, API_TIMEOUT_MS="1500")
    assert run.result["result"] == "[rehearsal] At last."


def test_the_usage_reported_is_that_of_the_script(executable: Path, tmp_path: Path) -> None:
    reply = Reply(text="Done.", thinking="Hm.", usage=Tokens(input_tokens=1234, output_tokens=56), piece=3)
    run = rehearse(executable, steps(reply), tmp_path)
    assert run.result["usage"]["input_tokens"] == 1234
    assert run.result["usage"]["output_tokens"] == 56
    assert run.result["total_cost_usd"] > 0


def test_a_header_of_ours_tells_tasks_apart(executable: Path, tmp_path: Path) -> None:
    run = rehearse(executable, DEFAULT, tmp_path, ANTHROPIC_CUSTOM_HEADERS="X-Orchestrator-Task: t42")
    assert run.requests[0].headers["x-orchestrator-task"] == "t42"
