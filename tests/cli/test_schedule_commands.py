"""`orchestrator schedule`: from the first one to its removal, as a person types it."""

import re
from datetime import datetime

import pytest

from cli.conftest import Cli


@pytest.fixture
def project(cli: Cli) -> None:
    assert cli("project", "add", "acme").code == 0


def test_a_schedule_is_added_shown_changed_run_and_removed(cli: Cli, project: None) -> None:
    added = cli(
        *("schedule", "add", "nightly", "Look at the night.", "--cron", "30 2 * * mon-fri"),
        *("--timezone", "Europe/Berlin", "--overlap", "skip", "--condition", "git diff --quiet 'HEAD~1'"),
    )
    assert (added.code, "schedule nightly added to project acme" in added.out) == (0, True), added.err
    assert "02:30:00+0" in added.out
    shown = cli("schedule", "show", "nightly", "--json").json
    assert shown["condition"] == ["git", "diff", "--quiet", "HEAD~1"]
    assert "git diff --quiet 'HEAD~1'" in cli("schedule", "show", "nightly").out
    assert "cron 30 2 * * mon-fri Europe/Berlin" in cli("schedule", "list").out
    edited = cli("schedule", "edit", "nightly", "--every", "15m", "--clear", "condition")
    assert "updated: condition, interval" in edited.out
    assert len(cli("schedule", "preview", "nightly", "--count", "4", "--json").json["occurrences"]) == 4
    ran = cli("schedule", "run", "nightly", "--json").json
    assert "Schedule nightly made it: made to run by hand." in cli("task", "explain", ran["task_id"]).out
    assert "is paused" in cli("schedule", "pause", "nightly", "--reason", "holidays").out
    assert "(paused)" in cli("schedule", "list").out
    assert "goes on at" in cli("schedule", "resume", "nightly").out
    assert "removed" in cli("schedule", "remove", "nightly").out
    assert "no schedules; add one" in cli("schedule", "list").out


def test_times_can_be_tried_before_anything_is_added(cli: Cli) -> None:
    found = cli("schedule", "preview", "--cron", "@daily", "--timezone", "Asia/Tokyo", "--count", "2")
    assert found.out.count("00:00:00+09:00") == 2
    there, here = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*", found.out.splitlines()[1])
    assert datetime.fromisoformat(here) == datetime.fromisoformat(there)
    wrong = cli("schedule", "preview", "--cron", "0 25 * * *")
    assert wrong.code != 0
    assert "'25' is no hour" in wrong.err
