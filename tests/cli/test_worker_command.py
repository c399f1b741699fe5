"""`orchestrator worker`, as its service runs it."""

import json
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from orchestrator.store import workers
from orchestrator.store.database import open_database

PROGRAM = str(Path(sys.executable).with_name("orchestrator"))
BOUND = 60


class Systemd:
    """The socket that a service reports to."""

    def __init__(self) -> None:
        # Of the abstract kind, so that no directory of the tests is too long for it.
        self.name = f"@orchestrator-{secrets.token_hex(8)}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{self.name[1:]}")
        self.socket.settimeout(BOUND)
        self.heard: list[str] = []

    def until(self, state: str) -> list[str]:
        """Everything that was said, once `state` was."""
        while state not in self.heard:
            self.heard.append(self.socket.recv(4096).decode())
        return self.heard


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    manager = Systemd()
    with closing(manager.socket):
        yield manager


@contextmanager
def worker(tmp_path: Path, systemd: Systemd, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {
        "ORCHESTRATOR_HOME": str(tmp_path / "home"),
        "ORCHESTRATOR_API__PORT": "0",
        "ORCHESTRATOR_API__OPEN_HEALTH": "true",
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "NOTIFY_SOCKET": systemd.name,
        "WATCHDOG_USEC": "200000",
    }
    process = subprocess.Popen(
        [PROGRAM, "worker", *arguments], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=BOUND)


def lines(process: subprocess.Popen[str]) -> Iterator[dict[str, str]]:
    assert process.stderr is not None
    return (json.loads(line) for line in process.stderr)


def test_it_says_when_it_is_ready_that_it_lives_and_that_it_stops(tmp_path: Path, systemd: Systemd) -> None:
    with worker(tmp_path, systemd) as process:
        systemd.until("READY=1")
        systemd.until("WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        assert systemd.until("STOPPING=1").count("READY=1") == 1
        assert process.wait(BOUND) == 0
        said = [line["event"] for line in lines(process)]
    assert "worker.stopped" in said
    assert "api.listening" not in said


def test_asked_to_it_answers_probes_before_it_says_that_it_is_ready(tmp_path: Path, systemd: Systemd) -> None:
    with worker(tmp_path, systemd, "--api") as process:
        systemd.until("READY=1")
        url = next(line["url"] for line in lines(process) if line["event"] == "api.listening")
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        with urllib.request.urlopen(f"{url}/readyz", timeout=BOUND) as answer:
            assert answer.status == 200


def test_the_list_of_workers_says_what_a_host_lacks_and_nothing_where_it_lacks_nothing(
    cli, home: Path
) -> None:
    now = time.time()
    row = workers.Worker(id="a-1", host="a", pid=1, version="1", slots=4, started_at=now, seen_at=now)
    with open_database(f"sqlite:///{home / 'orchestrator.db'}") as database:
        database.run_sync(workers.register, row)
        assert "lacks" not in cli("worker", "list").out
        database.run_sync(workers.say_lacks, "a-1", {"checkout_unusable /srv/acme": now + 300.0})
    assert "a-1 lacks: checkout_unusable /srv/acme" in cli("worker", "list").out.splitlines()
    (shown,) = cli("worker", "list", "--json").json["workers"]
    assert shown["lacks"] == ["checkout_unusable /srv/acme"]
