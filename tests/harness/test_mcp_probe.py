"""Probing real servers: processes of our own, and HTTP on loopback."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.domain.mcp import McpServer, ServerProbe
from orchestrator.harness.mcp_probe import probe_servers
from orchestrator.harness.process import Isolation, probe

SERVER = str(Path(__file__).parents[1] / "fakes" / "sdk_server.py")
SECRET = "s3cr3t-value-of-the-linter"
BOUND = 30.0


@pytest.fixture(scope="module")
def isolation() -> Isolation:
    return probe()


def stdio(name: str = "linter", **env: str) -> McpServer:
    return McpServer(name=name, transport="stdio", command=sys.executable, args=(SERVER, "stdio"), env=env)


def http(url: str, **headers: str) -> McpServer:
    return McpServer(name="remote", transport="http", url=url, headers=headers)


def ask(isolation: Isolation, *servers: McpServer, **options: Any) -> list[ServerProbe]:
    options = {"secrets": {"LINTER_TOKEN": SECRET}, "parent": os.environ, **options}
    return asyncio.run(probe_servers(servers, isolation=isolation, clock=lambda: 5.0, **options))


def facts(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@contextmanager
def serving(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server by HTTP: its address, and the file of the headers that it was sent."""
    port, noted = tmp_path / "port", tmp_path / "headers"
    environment = {**os.environ, "FAKE_FACTS": str(noted)}
    process = subprocess.Popen([sys.executable, SERVER, "http", str(port)], env=environment)
    try:
        deadline = time.monotonic() + BOUND
        while not port.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port.read_text()}/mcp", noted
    finally:
        process.kill()
        process.wait()


@contextmanager
def answering(respond: bytes, *, follow: bytes = b"") -> Iterator[tuple[int, list[bytes]]]:
    """Something on loopback that answers every request with these bytes; the port, and what it was asked."""
    asked: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                try:
                    asked.append(connection.recv(65536))
                    connection.sendall(respond)
                    while follow:
                        connection.sendall(follow)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1], asked
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def test_a_server_of_our_own_starting_tells_its_tools_with_their_schemas(isolation: Isolation) -> None:
    (found,) = ask(isolation, stdio())
    assert found.error is None
    assert found.at == 5.0
    tools = {tool.name: tool for tool in found.tools}
    assert set(tools) == {"lint", "ping"}
    assert tools["lint"].description == "Find faults in a file."
    assert tools["lint"].input_schema["required"] == ["path"]


def test_its_environment_is_clean_and_has_the_secret_it_asked_for(
    isolation: Isolation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "of-the-worker")
    noted = tmp_path / "facts"
    (found,) = ask(isolation, stdio(TOKEN="${LINTER_TOKEN}", FAKE_FACTS=str(noted)))
    assert found.ok
    (environment,) = facts(noted)
    assert environment["TOKEN"] == SECRET
    assert "ANTHROPIC_API_KEY" not in environment
    assert environment["HOME"] != str(Path.home())
    assert not Path(environment["HOME"]).exists()


def test_a_secret_that_is_not_there_is_named_and_nothing_is_started(
    isolation: Isolation, tmp_path: Path
) -> None:
    noted = tmp_path / "facts"
    (found,) = ask(isolation, stdio(TOKEN="${NOBODY_HAS_IT}", FAKE_FACTS=str(noted)))
    assert "NOBODY_HAS_IT" in (found.error or "")
    assert not noted.exists()


def test_a_server_that_fails_says_why_in_its_own_words_and_without_the_secret(isolation: Isolation) -> None:
    (found,) = ask(isolation, stdio(FAKE_FAULT="exit", LICENCE="${LINTER_TOKEN}"))
    assert not found.ok
    assert "no licence for key" in (found.error or "")
    assert SECRET not in (found.error or "")


def test_servers_are_probed_side_by_side_and_one_that_hangs_is_ended_with_its_tree(
    isolation: Isolation,
) -> None:
    began = time.monotonic()
    hanging = [stdio(f"slow-{number}", FAKE_FAULT="hang") for number in range(3)]
    *slow, quick = ask(isolation, *hanging, stdio(), limit_seconds=6.0)
    assert quick.ok
    assert [found.error for found in slow] == ["no answer within 6 s"] * 3
    assert time.monotonic() - began < 18.0, "they were probed one after the other"
    assert [p for p in psutil.process_iter(["cmdline"]) if "sdk_server" in str(p.info["cmdline"])] == []


def test_a_command_that_is_not_there_is_a_result_not_an_exception(isolation: Isolation) -> None:
    (found,) = ask(isolation, McpServer(name="x", transport="stdio", command="no-such-command-here"))
    assert "no-such-command-here was not found" in (found.error or "")


def test_a_server_by_http_is_sent_its_headers(isolation: Isolation, tmp_path: Path) -> None:
    with serving(tmp_path) as (url, noted):
        (found,) = ask(isolation, http(url, Authorization="Bearer ${LINTER_TOKEN}"))
    assert found.error is None
    assert {tool.name for tool in found.tools} == {"lint", "ping"}
    assert facts(noted)[1]["authorization"] == f"Bearer {SECRET}"


def test_nobody_there_is_a_result_too(isolation: Isolation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (found,) = ask(isolation, http(f"http://127.0.0.1:{port}/mcp"))
    assert not found.ok


def test_a_redirect_to_another_origin_is_not_followed(isolation: Isolation) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (elsewhere, asked):
        leave = f"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
        with answering(leave.encode()) as (port, _):
            (found,) = ask(isolation, http(f"http://127.0.0.1:{port}/mcp", Authorization="${LINTER_TOKEN}"))
    assert not found.ok
    assert asked == []


def test_an_endless_answer_is_cut_off(isolation: Isolation) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with answering(head, follow=b"10000\r\n" + b"x" * 0x10000 + b"\r\n") as (port, _):
        (found,) = ask(isolation, http(f"http://127.0.0.1:{port}/mcp"), limit_seconds=60.0)
    assert "more than 4 MiB" in (found.error or "")
