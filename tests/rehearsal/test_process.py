"""A rehearsal in a process of its own."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def rehearsal(*arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-m", "orchestrator.rehearsal", *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[bytes]) -> dict[str, object]:
    assert process.stdout is not None
    line: dict[str, object] = json.loads(process.stdout.readline())
    return line


@pytest.mark.parametrize("end", ["input closed", signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_answers_and_ends_when_told(tmp_path: Path, end: str | signal.Signals) -> None:
    script, log = tmp_path / "script.yaml", tmp_path / "log.jsonl"
    script.write_text("replies: [{text: Hello.}]")
    with rehearsal("--script", script, "--log", log) as process:
        said = first_line(process)
        assert said["rehearsal"] is True
        body = json.dumps({"messages": [{"role": "user", "content": "x"}]}).encode()
        with urllib.request.urlopen(f"{said['url']}/v1/messages", body, timeout=60) as answer:
            assert json.load(answer)["content"][0]["text"] == "[rehearsal] Hello."
        assert json.loads(log.read_text())["number"] == 1
        if isinstance(end, signal.Signals):
            process.send_signal(end)
        else:
            assert process.stdin is not None
            process.stdin.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_bad_script_is_one_line_on_standard_error(tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("replies:\n  - txt: Hello.")
    with rehearsal("--script", script) as process:
        assert process.wait(timeout=60) == 2
        assert process.stderr is not None
        complaint = process.stderr.read().decode()
        assert "script.yaml, line 2: replies[0].txt is not a known key; did you mean 'text'?" in complaint
        assert len(complaint.splitlines()) == 1
