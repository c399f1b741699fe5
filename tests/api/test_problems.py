"""Whatever is refused, at whichever address, is told as a problem of RFC 9457."""

import asyncio
import json

import pytest
from starlette.types import Message

from orchestrator.api import requests
from orchestrator.api.identify import BODY_BYTES
from orchestrator.api.mcp import McpDoor
from orchestrator.api.problems import MEDIA_TYPE, TITLES
from orchestrator.api.security import Guard
from orchestrator.commands.use import Use
from orchestrator.domain.errors import DatabaseUnavailable

PLAIN = "/api/v1/projects"
DOORS = (PLAIN, "/api/v1/commands/create_project", "/mcp")
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    },
}
JSON = "application/json"


def is_problem(answer, status: int) -> bool:
    told = answer.json
    assert (answer.status, told["status"]) == (status, status), answer
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert told["title"] == TITLES[status]
    assert told["type"].startswith("urn:orchestrator:problem:")
    return bool(told["detail"])


REFUSED = {
    "no such address": (404, "GET", "/no/such/address", {}),
    "not that method": (405, "PUT", PLAIN, {}),
    "not that method of MCP": (405, "PUT", "/mcp", {}),
    "no media type that it takes": (406, "POST", "/mcp", {"document": INITIALIZE, "accept": "text/html"}),
    "not that host": (421, "GET", "DOOR", {"host": "evil.example"}),
    "not that origin": (403, "POST", "DOOR", {"document": {}, "origin": "https://evil.example"}),
    "no token": (401, "POST", "DOOR", {"document": {}, "authorization": None}),
    "no valid token": (401, "POST", "DOOR", {"document": {}, "authorization": "Bearer nobody"}),
    "no JSON by its type": (415, "POST", "DOOR", {"raw": b"{}", "content_type": "text/plain"}),
    "too large": (413, "POST", "/mcp", {"raw": b"{}", "content_length": str(BODY_BYTES + 1)}),
}


def test_every_refusal_is_a_problem_at_every_door(with_api) -> None:
    async def test(api) -> None:
        for what, (status, method, path, more) in REFUSED.items():
            for door in DOORS if path == "DOOR" else (path,):
                said = {"accept": f"{JSON}, text/event-stream", **more}
                answer = await api.ask(method, door, said.pop("document", None), **said)
                assert is_problem(answer, status), (what, door)

    with_api(test)


def test_what_is_no_json_is_a_problem_at_every_door(with_api) -> None:
    async def test(api) -> None:
        for door in DOORS:
            answer = await api.ask("POST", door, raw=b"{broken", accept=f"{JSON}, text/event-stream")
            assert is_problem(answer, 400 if door == "/mcp" else 422), door

    with_api(test)


def test_a_body_that_goes_on_for_too_long_is_a_problem(with_api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_BYTES", 1000)

    async def test(api) -> None:
        assert is_problem(await api.ask("POST", PLAIN, raw=b" " * 1001), 413)

    with_api(test)


def test_what_is_no_http_is_a_problem(with_api) -> None:
    async def test(api) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 20.0)
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert MEDIA_TYPE.encode() in head
        assert json.loads(body)["status"] == 400

    with_api(test)


def test_an_error_about_a_message_of_mcp_stays_one_of_its_protocol(with_api) -> None:
    """Clients read it to agree on a version of the protocol."""

    async def test(api) -> None:
        accept = f"{JSON}, text/event-stream"
        answer = await api.ask("POST", "/mcp", {"jsonrpc": "2.0", "id": 1}, accept=accept)
        assert (answer.status, "error" in answer.json) == (400, True)
        version = {"mcp_protocol_version": "1999-01-01"}
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        answer = await api.ask("POST", "/mcp", asked, accept=accept, **version)
        assert (answer.status, "error" in answer.json) == (400, True)

    with_api(test)


@pytest.mark.parametrize("door", ["guard", "mcp"])
def test_a_database_that_is_away_when_the_token_is_looked_up_is_a_problem(door: str) -> None:
    """The look-up comes before any route, so that nothing behind it tells of it."""

    async def identify(_token: str) -> Use | None:
        raise DatabaseUnavailable

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    guard = Guard(McpDoor(identify), hosts=frozenset({"h"}), identify=identify)
    headers = [(b"host", b"h"), (b"authorization", b"Bearer x")]
    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": headers}
    asyncio.run((guard if door == "guard" else McpDoor(identify))(scope, receive, send))
    assert (sent[0]["status"], dict(sent[0]["headers"])[b"content-type"]) == (503, MEDIA_TYPE.encode())
    assert json.loads(sent[1]["body"])["type"] == "urn:orchestrator:problem:database-unavailable"
