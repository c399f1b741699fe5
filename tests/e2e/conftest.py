"""The program itself, as a person starts it: processes with a clean environment and their own home."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

BOUND = 40.0
"""Seconds that anything may take; what is waited for takes one or two."""

PROGRAM = (sys.executable, "-P", "-c", "from orchestrator.cli.main import main; main()")


class Running:
    """A process whose output is read line by line, as it comes."""

    def __init__(self, argv: Sequence[str], environment: dict[str, str], cwd: Path) -> None:
        self.process = subprocess.Popen(
            argv, env=environment, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.seen: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def until(self, text: str) -> str:
        """The next line that contains `text`."""
        deadline = time.monotonic() + BOUND
        while True:
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                line = None
            if line is None:
                pytest.fail(f"{text!r} did not come:\n{''.join(self.seen)}")
            self.seen.append(line)
            if text in line:
                return line

    def stop(self) -> int:
        """The exit code after one SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        code = self.process.wait(BOUND)
        self._reader.join(BOUND)
        while not self._lines.empty():
            self.seen.append(self._lines.get() or "")
        return code

    @property
    def output(self) -> str:
        return "".join(self.seen)


@dataclass
class Installation:
    """A home, and the program in it."""

    home: Path
    settings: dict[str, str] = field(default_factory=dict)
    started: list[Running] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def environment(self) -> dict[str, str]:
        base = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.home), "LANG": "C.UTF-8"}
        return {**base, "ORCHESTRATOR_HOME": str(self.state), "ORCHESTRATOR_API__PORT": "0", **self.settings}

    def start(self, *arguments: str, inside: Sequence[str] = ()) -> Running:
        """The program, and what it prints; `inside` is what runs it."""
        running = Running([*inside, *PROGRAM, *arguments], self.environment, self.home)
        self.started.append(running)
        return running

    def run(self, *arguments: str) -> Any:
        """What a command that has to succeed says, as JSON."""
        done = subprocess.run(
            [*PROGRAM, *arguments, "--json"],
            env=self.environment,
            cwd=self.home,
            text=True,
            capture_output=True,
            timeout=BOUND,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def processes(self, sign: str | None = None) -> list[str]:
        """Living processes that were started for this home, and those with `sign` on their command line."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                command = process.cmdline()
                home = process.environ().get("HOME", "")
            except (psutil.Error, OSError):
                continue
            if home.startswith(str(self.home)) or (sign is not None and sign in command):
                found.append(f"{process.pid} {command}")
        return found


def eventually(true: Callable[[], object]) -> None:
    """Wait for what the kernel does in its own time and tells nobody."""
    deadline = time.monotonic() + BOUND
    while not true():
        assert time.monotonic() < deadline, "it did not come about in time"
        threading.Event().wait(0.02)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    found = Installation(home=tmp_path)
    yield found
    for running in found.started:
        if running.process.poll() is None:
            running.process.kill()
        running.ended()


@pytest.fixture
def await_that() -> Callable[[Callable[[], object]], None]:
    return eventually
