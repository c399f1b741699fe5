"""What a person meets first: a sample task, a missing login, two projects, and no network."""

import json
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.real_cli

ANSWER = "[rehearsal] This is a rehearsal"


def test_without_credentials_the_sample_task_is_rehearsed_and_shown_to_its_end(installation) -> None:
    up = installation.start("up", "--sample")
    up.until("rehearsal: the answers come from a script")
    assert "reviewer" in up.until("profile ")
    assert up.until("tools ").split()[1:] == ["Read,", "Grep,", "Glob"]
    up.until("COMPLETED")
    up.until(ANSWER)
    up.until("task explain")
    (task,) = installation.run("task", "list", "--project", "sample")["tasks"]
    attempt = installation.run("attempt", "show", task["id"])
    assert task["state"] == "COMPLETED"
    assert attempt["snapshot"]["rehearsal"] is True
    assert up.stop() == 0
    assert installation.processes() == []


def test_without_credentials_nothing_is_rehearsed_that_was_not_asked_to_be(installation) -> None:
    installation.settings["ORCHESTRATOR_CLAUDE__BASE_URL"] = "http://127.0.0.1:1"  # nobody listens there
    up = installation.start("up", "--json")
    assert json.loads(up.until("version"))["rehearsal"] is None
    installation.run("project", "add", "acme")
    task_id = installation.run("task", "add", "Say hello", "--project", "acme")["created"]
    up.until("attempt.ended")
    task = installation.run("task", "show", task_id)
    attempt = installation.run("attempt", "show", task_id)
    assert task["state"] != "COMPLETED"
    assert attempt["outcome"] == "authentication_failed"
    assert "credentials" in attempt["message"].lower()
    assert attempt["snapshot"]["rehearsal"] is False
    assert attempt["usage"]["cost_usd"] == 0
    assert up.stop() == 0
    assert ANSWER not in up.output


def test_each_project_gets_exactly_the_profile_that_was_shown_before(installation) -> None:
    up = installation.start("up", "--rehearse", "--json")
    up.until("version")
    projects = {"looks": "reviewer", "builds": "coder"}
    for project, profile in projects.items():
        installation.run("project", "add", project, "--profile", profile)
    shown = {
        project: installation.run("profile", "effective", profile, "--project", project)
        for project, profile in projects.items()
    }
    asked = {
        project: installation.start("task", "add", "Look round", "--project", project, "--wait", "--json")
        for project in projects
    }
    for project, waiting in asked.items():
        assert waiting.ended() == 0
        task = json.loads(waiting.output.splitlines()[-1])["task"]
        attempt = installation.run("attempt", "show", task["id"])
        effective = attempt["snapshot"]["effective"]
        assert effective.pop("profile_id") == projects[project]
        assert effective == shown[project]["fields"]
        reported = attempt["enforcement"]["verified"]["tools"]
        assert sorted(reported) == sorted(shown[project]["profile"]["allowed_tools"])
        assert task["result"].startswith(ANSWER)
    assert up.stop() == 0


def test_with_nothing_but_loopback_the_sample_task_finishes(installation) -> None:
    unshare, ip = shutil.which("unshare"), shutil.which("ip")
    if unshare is None or ip is None:
        pytest.skip("unshare and ip are needed for a network of its own")
    inside = (unshare, "--net", "--", "/bin/sh", "-c", f'{ip} link set lo up && exec "$@"', "sh")
    tried = subprocess.run([*inside, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no network namespace may be made here: {tried.stderr.strip()}")
    up = installation.start("up", "--sample", inside=inside)
    up.until("COMPLETED")
    up.until(ANSWER)
    assert up.stop() == 0
