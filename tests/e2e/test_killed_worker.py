"""kill -9 of the worker while the real command line, with a daemon of its shell, is at work."""

import json
import uuid

import pytest

pytestmark = pytest.mark.real_cli


def test_a_killed_worker_takes_its_agent_and_its_daemons_along_and_the_next_one_goes_on(
    installation, await_that
) -> None:
    sleeping = f"98765.{uuid.uuid4().int % 10**9}"
    daemon = {"command": f"setsid sleep {sleeping} >/dev/null 2>&1 & echo started", "description": "Start"}
    first = {"tools": [{"name": "Bash", "input": daemon}]}
    rules = [
        {
            "when": {"headers": {"x-orchestrator-attempt": "1"}},
            "replies": [first, {"hang": "before_headers"}],
        },
        {"replies": [{"text": "Done after all."}]},
    ]
    script = installation.home / "script.json"
    script.write_text(json.dumps({"rules": rules}), encoding="utf-8")
    installation.run("project", "add", "acme", "--profile", "coder")
    task_id = installation.run("task", "add", "Start something", "--project", "acme")["created"]
    up = installation.start("up", "--script", str(script), "--json")
    up.until("profile.applied")
    await_that(lambda: any(sleeping in process for process in installation.processes(sleeping)))

    up.process.kill()
    up.ended()
    await_that(lambda: not installation.processes(sleeping))

    again = installation.start("up", "--script", str(script), "--json")
    again.until("task.completed")
    task = installation.run("task", "show", task_id)
    assert task["state"] == "COMPLETED"
    assert task["result"] == "[rehearsal] Done after all."
    assert [attempt["number"] for attempt in task["attempts"]] == [1, 2]
    assert again.stop() == 0
    assert installation.processes(sleeping) == []
