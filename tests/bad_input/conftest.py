"""A worker in its laboratory and the real program, for what nobody should have typed, sent or printed."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.cli.main import run

TESTS = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("worker_laboratory", TESTS / "worker" / "conftest.py")
assert _spec
assert _spec.loader
_laboratory = sys.modules.setdefault(_spec.name, importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(_laboratory)

anyio_backend = _laboratory.anyio_backend
isolation = _laboratory.isolation
fake_cli = _laboratory.fake_cli
open_sqlite = _laboratory.open_sqlite
lab = _laboratory.lab
sqlite_lab = _laboratory.sqlite_lab

PROGRAM = str(Path(sys.executable).with_name("orchestrator"))


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Program = Callable[..., Said]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def bare(home: Path, tmp_path: Path) -> dict[str, str]:
    """An environment with nothing in it but where things are."""
    return {
        "ORCHESTRATOR_HOME": str(home),
        "ORCHESTRATOR_API__PORT": "0",
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "TMPDIR": str(tmp_path),
    }


@pytest.fixture
def program(
    bare: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Program:
    """The command line, in this process; every message it prints is looked at for traces of its code."""

    def call(*arguments: str | bytes) -> Said:
        with monkeypatch.context() as patch:
            for name in os.environ:
                patch.delenv(name)
            for name, value in bare.items():
                patch.setenv(name, value)
            capsys.readouterr()
            code = run([os.fsdecode(one) for one in arguments])
        printed = capsys.readouterr()
        return clean(Said(code=code, out=printed.out, err=printed.err))

    return call


@pytest.fixture
def process(bare: dict[str, str]) -> Program:
    """The same as a process of its own, for what stays until it is told to stop."""

    def call(*arguments: str) -> Said:
        done = subprocess.run([PROGRAM, *arguments], env=bare, capture_output=True, timeout=60, check=False)
        return clean(Said(code=done.returncode, out=os.fsdecode(done.stdout), err=os.fsdecode(done.stderr)))

    return call


def clean(said: Said) -> Said:
    assert "Traceback" not in said.err, said.err
    assert "fault of the program" not in said.err, said.err
    return said
