"""Programs that are run to their end."""

import asyncio
import os
from pathlib import Path

from orchestrator.install.program import passed_on, run

ENV = {"PATH": os.environ["PATH"]}


def finished(script: str, tmp_path: Path, *, seconds: float = 20.0, text: str = ""):
    return asyncio.run(run(["sh", "-c", script], env=ENV, cwd=tmp_path, seconds=seconds, text=text))


def test_a_program_reads_its_input_and_says_how_it_ended(tmp_path: Path) -> None:
    done = finished("cat; echo no >&2; exit 3", tmp_path, text="yes")
    assert (done.code, done.out, done.err, done.why) == (3, "yes", "no\n", "no")


def test_a_program_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")
    reader = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    done = finished("(exec sleep 600 > alive) & wait", tmp_path, seconds=0.5)
    assert (done.code, done.failure) == (None, "sh took longer than 0.5 seconds")
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""  # the last one that could write is gone
    os.close(reader)


def test_a_program_that_is_not_there_says_so(tmp_path: Path) -> None:
    done = asyncio.run(run(["no-such-program"], env=ENV, cwd=tmp_path, seconds=1.0))
    assert (done.ok, done.why) == (False, "no-such-program was not found")


def test_only_the_end_of_much_output_is_kept(tmp_path: Path) -> None:
    done = finished("yes | head -c 3000000; echo end", tmp_path)
    assert len(done.out) == 256 * 1024
    assert done.out.endswith("end\n")


def test_secrets_are_not_passed_on() -> None:
    parent = {"PATH": "p", "ANTHROPIC_API_KEY": "k", "npm_config_registry": "r", "PYTHONPATH": "x"}
    assert passed_on(parent, beginnings=("npm_config_",)) == {"PATH": "p", "npm_config_registry": "r"}
