"""The HTTP surface on a real socket, with a real database and vault behind it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from orchestrator import app as composition
from orchestrator.api import serving as surface
from orchestrator.api.address import Address
from orchestrator.commands import tokens
from orchestrator.commands.use import Use
from orchestrator.settings import load
from orchestrator.worker.stop import Stop

T = TypeVar("T")
BOUND = 20.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Api:
    """A running server, and how to ask it."""

    use: Use
    port: int
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"host": f"127.0.0.1:{self.port}", "authorization": f"Bearer {self.token}"}

    async def ask(
        self, method: str, path: str, document: Any = None, *, raw: bytes | None = None, **headers: str | None
    ) -> Answer:
        """One request on a connection of its own; a header of `None` is left out."""
        body = raw if raw is not None else b"" if document is None else json.dumps(document).encode()
        said: dict[str, str | None] = {
            **self.headers,
            "connection": "close",
            "content-length": str(len(body)),
        }
        if body:
            said["content-type"] = "application/json"
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with asyncio.timeout(BOUND):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in said.items() if v is not None)]
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            try:
                return parsed(await reader.read())
            finally:
                writer.close()


def parsed(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = unchunked(body)
    return Answer(status=int(first.split()[1]), headers=headers, body=body)


def unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        whole += rest[:length]
        body = rest[length + 2 :]
    return whole


@asynccontextmanager
async def serving(
    home: Path, *, environment: Mapping[str, str] | None = None, working: bool = False, **more: Any
) -> AsyncIterator[Api]:
    """`working` has a worker and the vault's duties beside it."""
    settings = load(environment={"ORCHESTRATOR_HOME": str(home), **(environment or {})}).settings
    numbers = iter(range(10_000))
    without_worker = partial(composition.opened, environment={})
    begun = composition.running(settings, stop=Stop()) if working else without_worker(settings)
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(begun)
        use = composition.use(opened, clock=time.time, random=lambda: next(numbers))
        made = await tokens.create_token(use, tokens.CreateToken(name="test"))
        url = await stack.enter_async_context(surface.serving(use, Address(**more)))
        yield Api(use=use, port=int(url.rpartition(":")[2]), token=made.token)


@pytest.fixture(name="serving", scope="session")
def serving_fixture() -> Callable[..., Any]:
    """A server of an installation that is at a place of one's own."""
    return serving


@pytest.fixture
def with_api(tmp_path: Path) -> Callable[[Callable[[Api], Coroutine[Any, Any, T]]], T]:
    """Runs a test's coroutine against a fresh server."""

    def run(test: Callable[[Api], Coroutine[Any, Any, T]], **more: Any) -> T:
        async def whole() -> T:
            async with serving(tmp_path / "home", **more) as api:
                return await test(api)

        return asyncio.run(whole())

    return run
