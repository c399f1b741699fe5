"""What a client sees of a rehearsal: answers, faults, and its end."""

import asyncio
import http.client
import json
import socket
import statistics
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import StartRefused
from orchestrator.rehearsal import (
    DEFAULT,
    CutOff,
    Failure,
    Hang,
    Malformed,
    Reply,
    Rule,
    Script,
    StreamError,
    Tokens,
    ToolCall,
    When,
    probe,
    serve,
    steps,
)
from orchestrator.rehearsal.journal import KEPT_REQUESTS, Journal
from orchestrator.rehearsal.request import read


def run(test: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await test

    asyncio.run(bounded())


def test_a_text_comes_as_the_events_of_the_api_in_their_order(ask: Any) -> None:
    async def body() -> None:
        async with serve(steps(Reply(text="Hello you.", piece=4))) as server:
            answer = await ask(server)
            kinds = [event["type"] for event in answer.events]
            assert kinds[:2] == ["message_start", "content_block_start"]
            assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
            assert kinds.count("content_block_delta") == 6
            assert answer.text == "[rehearsal] Hello you."
            assert answer.headers["x-orchestrator-rehearsal"] == "true"
            assert answer.events[0]["message"]["id"].startswith("msg_rehearsal_")
            assert answer.events[-2]["delta"]["stop_reason"] == "end_turn"

    run(body())


def test_without_streaming_the_answer_is_one_document(ask: Any) -> None:
    async def body() -> None:
        reply = Reply(
            thinking="Hm.",
            text="Look.",
            tools=(ToolCall(name="Read", input={"file_path": "a"}), ToolCall(name="Bash")),
            usage=Tokens(input_tokens=7, output_tokens=3),
        )
        async with serve(steps(reply)) as server:
            message = (await ask(server, stream=False)).json
            assert [block["type"] for block in message["content"]] == [
                "thinking",
                "text",
                "tool_use",
                "tool_use",
            ]
            assert message["content"][2]["input"] == {"file_path": "a"}
            assert len({block.get("id") for block in message["content"][2:]}) == 2
            assert (message["stop_reason"], message["model"]) == ("tool_use", "m")
            assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (7, 3)

    run(body())


def test_the_label_is_on_every_text_unless_the_script_turns_it_off(ask: Any) -> None:
    async def body() -> None:
        async with serve(steps(Reply(text="plain"), label=False)) as server:
            answer = await ask(server)
            assert answer.text == "plain"
            assert answer.events[0]["message"]["id"].startswith("msg_rehearsal_")
        async with serve(steps(Reply(text=""))) as server:
            assert (await ask(server)).text == ""

    run(body())


def test_an_error_has_its_status_its_type_and_its_headers(ask: Any) -> None:
    async def body() -> None:
        headers = {"retry-after": "3600", "anthropic-ratelimit-unified-reset": "1800000000"}
        fault = Failure(status=429, type="rate_limit_error", message="Too much.", headers=headers)
        async with serve(steps(Reply(fault=fault))) as server:
            answer = await ask(server)
            assert answer.status == 429
            assert answer.json["error"] == {"type": "rate_limit_error", "message": "Too much."}
            assert {name: answer.headers[name] for name in headers} == headers

    run(body())


@pytest.mark.parametrize("stream", [True, False])
def test_a_cut_in_mid_stream_leaves_the_answer_unfinished(ask: Any, stream: bool) -> None:
    async def body() -> None:
        async with serve(steps(Reply(text="x" * 100, fault=CutOff()))) as server:
            answer = await ask(server, stream=stream)
            assert (answer.status, answer.cut) == (200, True)
            assert b"x" in answer.content
            assert b"message_stop" not in answer.content

    run(body())


def test_a_cut_before_the_headers_sends_nothing(ask: Any) -> None:
    async def body() -> None:
        async with serve(steps(Reply(fault=CutOff(where="before_headers")))) as server:
            with pytest.raises(ConnectionError):
                await ask(server)

    run(body())


@pytest.mark.parametrize("fault", [Hang(), Hang(where="mid_stream")])
def test_a_hanging_answer_ends_with_the_server(ask: Any, fault: Hang) -> None:
    async def body() -> None:
        async with asyncio.TaskGroup() as group:
            async with serve(steps(Reply(text="x", fault=fault))) as server:
                asked = group.create_task(outcome(ask(server, timeout=60)))
                await server.wait_for_request(1, timeout=20)
                assert not asked.done()
            assert await asked == ("cut" if fault.where == "mid_stream" else "nothing")

    async def outcome(answer: Any) -> str:
        try:
            return "cut" if (await answer).cut else "whole"
        except ConnectionError:
            return "nothing"

    run(body())


def test_a_client_that_leaves_does_not_disturb_the_others(ask: Any) -> None:
    async def body() -> None:
        rules = (Rule(when=When(prompt="wait"), replies=(Reply(text="late", delay=3600),)),)
        async with serve(Script(rules=rules, default=Reply(text="now"))) as server:
            with pytest.raises(TimeoutError):
                await ask(server, "wait", timeout=0.2)
            assert (await ask(server, "go")).text == "[rehearsal] now"

    run(body())


def test_a_slow_answer_takes_the_time_the_script_says(ask: Any) -> None:
    async def body() -> None:
        async with serve(steps(Reply(text="x", delay=0.2, pause=0.05))) as server:
            began = time.monotonic()
            assert (await ask(server)).text == "[rehearsal] x"
            assert time.monotonic() - began >= 0.2 + 6 * 0.05

    run(body())


def test_an_answer_that_may_be_quick_is_quick() -> None:
    """Small packets are sent at once: held back, each answer would take 40 ms."""

    def median(port: int) -> float:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        times = []
        for _ in range(21):
            began = time.perf_counter()
            connection.request("POST", "/v1/messages", b'{"messages": [], "stream": true}')
            connection.getresponse().read()
            times.append(time.perf_counter() - began)
        connection.close()
        return statistics.median(times)

    async def body() -> None:
        async with serve(steps(Reply(text="x"))) as server:
            assert await asyncio.to_thread(median, server.port) < 0.03

    run(body())


def test_an_error_in_the_stream_is_an_event_and_without_streaming_a_status(ask: Any) -> None:
    async def body() -> None:
        async with serve(steps(Reply(text="x", fault=StreamError(type="overloaded_error")))) as server:
            assert (await ask(server)).events[-1]["error"]["type"] == "overloaded_error"
            assert (await ask(server, stream=False)).status == 529

    run(body())


@pytest.mark.parametrize("stream", [True, False])
def test_malformed_is_no_json(ask: Any, stream: bool) -> None:
    async def body() -> None:
        async with serve(steps(Reply(text="x", fault=Malformed()))) as server:
            answer = await ask(server, stream=stream)
            assert answer.status == 200
            last = answer.content.decode().strip().splitlines()[-1].removeprefix("data: ")
            with pytest.raises(json.JSONDecodeError):
                json.loads(last)

    run(body())


def test_a_request_is_recorded_without_its_secrets(ask: Any, tmp_path: Path) -> None:
    async def body() -> None:
        log = tmp_path / "requests.jsonl"
        async with serve(DEFAULT, log=log) as server:
            await ask(
                server,
                headers={
                    "x-api-key": "sk-secret",
                    "Authorization": "Bearer sk-secret",
                    "X-Orchestrator-Task": "t1",
                    "x-claude-code-session-id": "s1",
                },
                tools=[{"name": "Read", "input_schema": {}}],
                system=[{"type": "text", "text": "Be"}, {"type": "text", "text": "kind."}],
            )
            request = await server.wait_for_request(1, timeout=20)
            assert (request.session_id, request.tools, request.system) == ("s1", ("Read",), "Be\nkind.")
            assert request.headers["x-orchestrator-task"] == "t1"
            assert "sk-secret" not in log.read_text()
            line = json.loads(log.read_text())
            assert (line["prompt"], line["answered_by"]) == ("hello", "default")
            assert log.stat().st_mode & 0o077 == 0

    run(body())


def test_waiting_for_a_request_that_does_not_come_ends_in_time() -> None:
    async def body() -> None:
        async with serve(DEFAULT) as server:
            with pytest.raises(TimeoutError):
                await server.wait_for_request(1, timeout=0.05)

    run(body())


def test_whoever_waits_gets_the_request_when_it_comes(ask: Any) -> None:
    async def body() -> None:
        async with serve(DEFAULT) as server, asyncio.TaskGroup() as group:
            waiting = group.create_task(server.wait_for(lambda request: request.prompt == "second"))
            await ask(server, "first")
            await ask(server, "second")
            assert (await waiting).number == 2

    run(body())


def test_a_long_rehearsal_forgets_its_oldest_requests() -> None:
    async def body() -> None:
        journal = Journal()
        for number in range(1, KEPT_REQUESTS + 11):
            journal.add(read({}, {"messages": []}, number=number))
        assert (len(journal.requests), journal.requests[0].number) == (KEPT_REQUESTS, 11)
        journal.add(read({}, {"messages": []}, number=99_999, size=1 << 40))
        assert [request.number for request in journal.requests] == [99_999]

    run(body())


def test_the_file_of_requests_is_moved_aside_before_it_grows_too_large(tmp_path: Path) -> None:
    async def body() -> None:
        log = tmp_path / "requests.jsonl"
        journal = Journal(log, file_bytes=2_000)
        for number in range(1, 40):
            journal.add(read({}, {"messages": []}, number=number))
        older = tmp_path / "requests.jsonl.1"
        assert log.stat().st_size <= 2_000
        assert older.stat().st_size <= 2_000
        assert json.loads(log.read_text().splitlines()[-1])["number"] == 39

    run(body())


@pytest.mark.parametrize(
    ("body_sent", "complaint"),
    [
        (b"{", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "messages: must be a list"),
        (b'{"messages": [1]}', "messages: must be a list"),
        (b'{"messages": [], "tools": 3}', "tools: must be a list"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_bad_body_is_refused_in_the_words_of_the_api(ask: Any, body_sent: bytes, complaint: str) -> None:
    async def body() -> None:
        async with serve(DEFAULT) as server:
            answer = await ask(server, body=body_sent)
            assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")
            assert complaint in answer.json["error"]["message"]
            assert server.requests == ()

    run(body())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/", 200),
        ("GET", "/v1/models", 200),
        ("POST", "/v1/messages/count_tokens", 200),
        ("GET", "/v1/messages", 404),
        ("POST", "/v1/files", 404),
    ],
)
def test_other_routes_answer_politely(ask: Any, method: str, path: str, status: int) -> None:
    async def body() -> None:
        async with serve(DEFAULT) as server:
            answer = await ask(server, method=method, path=path)
            assert answer.status == status
            if status == 404:
                assert answer.json["error"]["type"] == "not_found_error"
            if "count_tokens" in path:
                assert answer.json["input_tokens"] > 0

    run(body())


def test_a_port_in_use_is_refused_with_the_way_out() -> None:
    async def body() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(StartRefused, match=f"{port}.*Choose another port"):
                async with serve(DEFAULT, port=port):
                    pass

    run(body())


def test_only_loopback_can_reach_it() -> None:
    async def body() -> None:
        async with serve(DEFAULT) as server:
            assert server.url == f"http://127.0.0.1:{server.port}"

    run(body())


def test_the_port_is_free_again_after_the_scope(ask: Any) -> None:
    async def body() -> None:
        async with serve(DEFAULT) as first:
            await ask(first)
        async with serve(DEFAULT, port=first.port) as second:
            assert (await ask(second)).status == 200

    run(body())


def test_the_default_script_looks_round_once_then_names_the_tools(ask: Any) -> None:
    async def body() -> None:
        tools = [{"name": name} for name in ("Read", "Bash")]
        first = [{"role": "user", "content": "go"}]
        called = {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "a", "name": "Bash", "input": {}}],
        }
        result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "ok"}]}
        async with serve(DEFAULT) as server:
            start = (await ask(server, tools=tools, messages=first, stream=False)).json
            assert start["content"][1]["name"] == "Bash"
            end = (await ask(server, tools=tools, messages=[*first, called, result], stream=False)).json
            assert end["stop_reason"] == "end_turn"
            assert end["content"][0]["text"].startswith("[rehearsal] This is a rehearsal")
            assert "Read, Bash" in end["content"][0]["text"]
            none = (await ask(server, messages=first, stream=False)).json
            assert "Tools offered to the model (0): none" in none["content"][0]["text"]

    run(body())


def test_a_probe_calls_what_it_is_given_whether_offered_or_not(ask: Any) -> None:
    async def body() -> None:
        calls = [ToolCall(name="Bash", input={"command": "id"}), ToolCall(name="mcp__x__y")]
        async with serve(probe(calls)) as server:
            content = (await ask(server, stream=False)).json["content"]
            assert [block["name"] for block in content] == ["Bash", "mcp__x__y"]
        async with serve(probe(calls, one_by_one=True)) as server:
            content = (await ask(server, stream=False)).json["content"]
            assert [block["name"] for block in content] == ["Bash"]

    run(body())


def test_many_conversations_at_once_each_get_their_own_script(ask: Any) -> None:
    async def body() -> None:
        rules = tuple(
            Rule(when=When(headers={"X-Orchestrator-Task": f"t{n}"}), replies=(Reply(text=f"for {n}"),))
            for n in range(20)
        )
        async with serve(Script(rules=rules, label=False)) as server:
            answers = await asyncio.gather(
                *(ask(server, headers={"x-orchestrator-task": f"t{n}"}) for n in range(20))
            )
            assert [answer.text for answer in answers] == [f"for {n}" for n in range(20)]

    run(body())


def test_a_log_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    async def body() -> None:
        with pytest.raises(StartRefused, match="cannot write"):
            async with serve(DEFAULT, log=tmp_path / "missing" / "requests.jsonl"):
                pass

    run(body())


def test_a_log_that_fails_later_is_an_error_the_client_sees(ask: Any, tmp_path: Path) -> None:
    async def body() -> None:
        log = tmp_path / "requests.jsonl"
        async with serve(DEFAULT, log=log) as server:
            log.unlink()
            log.mkdir()
            answer = await ask(server)
            assert (answer.status, answer.json["error"]["type"]) == (500, "api_error")

    run(body())
