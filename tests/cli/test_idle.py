"""What a worker holds in memory that has nothing to do: only what it needs for that."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BOUND = 60

PROGRAM = """
import sys
from orchestrator.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(*sorted(sys.modules))
"""

NEEDED_LATER = {
    "alembic": "a schema that is not the latest; a process of its own has it meanwhile",
    "apscheduler": "a schedule",
    "git": "a vault that is a clone",
    "mako": "a schema that is not the latest",
    "mcp": "an agent with a tool of ours",
    "prometheus_client": "somebody who asks for metrics",
    "psycopg": "PostgreSQL",
    "pygments": "nothing: structlog's tracebacks for people, which are not ours",
    "rich": "a screen",
    "starlette": "a request over HTTP",
    "uvicorn": "a request over HTTP",
    "websockets": "a request over HTTP",
    "orchestrator.api.app": "a request over HTTP",
    "orchestrator.api.mcp": "a request over HTTP",
    "orchestrator.cli.front": "a screen",
    "orchestrator.commands.surface": "a request over HTTP or MCP",
    "orchestrator.harness.mcp_probe": "a probe of MCP servers",
    "orchestrator.rehearsal": "a rehearsal",
    "orchestrator.store.migrations": "a schema that is not the latest",
    "orchestrator.store.wake_postgres": "PostgreSQL",
}
"""Modules by what they are for. All together would take as much again as an idle worker does."""


@pytest.mark.parametrize("command", [("up", "--no-screen"), ("worker",), ("worker", "--api")])
def test_an_idle_worker_has_loaded_nothing_that_it_does_not_need(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    environment = {
        "HOME": str(tmp_path),
        "ORCHESTRATOR_HOME": str(tmp_path / "home"),
        "ORCHESTRATOR_API__PORT": "0",
        "PATH": os.defpath,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        awaited = {"worker.started", '"duty": "vault"', '"duty": "schedules"', '"duty": "retention"'}
        for line in process.stderr:
            awaited = {one for one in awaited if one not in line}
            if not awaited:
                break
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=BOUND)
    finally:
        process.kill()
    assert process.returncode == 0
    assert sorted(NEEDED_LATER.keys() & set(out.split())) == []
