"""A worker in its laboratory and the real program, for what nobody should have typed, sent or printed."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

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
def program(home: Path, tmp_path: Path) -> Program:
    """The real program in a bare environment; every message it prints is looked at for traces of its code."""

    def call(*arguments: str, **more: Any) -> Said:
        environment = {
            "ORCHESTRATOR_HOME": str(home),
            "HOME": str(tmp_path),
            "PATH": "/usr/bin:/bin",
            "TMPDIR": str(tmp_path),
            **more.pop("env", {}),
        }
        done = subprocess.run(
            [PROGRAM, *arguments], env=environment, capture_output=True, timeout=60, check=False, **more
        )
        said = Said(
            code=done.returncode,
            out=os.fsdecode(done.stdout),
            err=os.fsdecode(done.stderr),
        )
        assert "Traceback" not in said.err, said.err
        assert "fault of the program" not in said.err, said.err
        return said

    return call
