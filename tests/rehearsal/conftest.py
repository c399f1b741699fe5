"""A plain client for the rehearsal, and the executables of the real command line that are at hand."""

import asyncio
import http.client
import json
import sysconfig
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BUNDLED = Path(sysconfig.get_path("purelib")) / "claude_agent_sdk" / "_bundled" / "claude"
EXECUTABLES = [BUNDLED, *sorted((ROOT / ".tools").glob("claude-*/node_modules/@anthropic-ai/*/claude"))]


@dataclass(frozen=True)
class Answer:
    """What came back; `cut` says that the connection ended before the answer did."""

    status: int
    headers: dict[str, str]
    content: bytes
    cut: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = self.content.decode().splitlines()
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]

    @property
    def text(self) -> str:
        deltas = (event["delta"] for event in self.events if event["type"] == "content_block_delta")
        return "".join(delta.get("text", "") for delta in deltas)


def fetch(
    port: int, method: str, path: str, content: bytes, headers: dict[str, str], timeout: float
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        try:
            return Answer(response.status, fields, response.read())
        except http.client.IncompleteRead as error:
            return Answer(response.status, fields, error.partial, cut=True)
    finally:
        connection.close()


Ask = Callable[..., Awaitable[Answer]]


@pytest.fixture
def ask() -> Ask:
    """Send something to a server: `await ask(server, body=..., headers=...)`."""

    async def send(
        server: Any,
        *said: str,
        method: str = "POST",
        path: str = "/v1/messages?beta=true",
        body: Any = None,
        headers: dict[str, str] | None = None,
        timeout: float = 30,
        **fields: Any,
    ) -> Answer:
        if body is None and method == "POST":
            messages = [{"role": "user", "content": text} for text in said or ("hello",)]
            body = {"model": "m", "stream": True, "messages": messages, **fields}
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return await asyncio.to_thread(fetch, server.port, method, path, content, headers or {}, timeout)

    return send


@pytest.fixture(
    params=EXECUTABLES, ids=lambda path: path.parts[-5] if "node_modules" in path.parts else "bundled"
)
def executable(request: pytest.FixtureRequest) -> Path:
    """Each executable of the real command line in turn."""
    path: Path = request.param
    if not path.exists():
        pytest.skip("the command line is not installed: pip install '.[claude]'")
    return path
