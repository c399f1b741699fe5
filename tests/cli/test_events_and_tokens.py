"""Tokens, events and calls by name, on the command line."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from orchestrator.cli import exit_codes


def test_a_token_is_shown_once_and_ended_by_name(acme) -> None:
    made = acme("token", "create", "laptop", "--expires", "+1d")
    assert made.code == 0
    secret = made.out.strip()
    assert secret.startswith("orc_")
    listed = acme("token", "list")
    assert "laptop" in listed.out
    assert "holds until" in listed.out
    assert secret not in listed.out + acme("token", "list", "--json").out
    assert acme("token", "create", "laptop").code == exit_codes.REFUSED
    assert "revoked" in acme("token", "revoke", "laptop").out
    assert acme("token", "revoke", "laptop").code == exit_codes.NOT_FOUND


def test_events_are_printed_as_cloud_events_with_filters(acme) -> None:
    ran = acme("events", "--type", "project.*", "--json")
    (event,) = [json.loads(line) for line in ran.out.splitlines()]
    assert (event["type"], event["projectid"], event["specversion"]) == ("project.created", "acme", "1.0")
    assert "project.created" in acme("events", "--project", "acme").out
    assert acme("events", "--after", event["id"], "--json").out == ""


def test_a_call_prints_the_result_or_the_problem_and_ends_with_one(acme) -> None:
    assert acme("call", "list_projects").json["count"] == 1
    assert acme("call", "create_task", '{"title": "x"}').json["project_id"] == "acme"
    for name, request in (("get_project", '{"project_id": "nobody"}'), ("no_such", "{}"), ("get_task", "[]")):
        ran = acme("call", name, request)
        assert (ran.code, ran.out) == (exit_codes.FAILED, "")
        assert ran.problem["status"] in (404, 422)


def test_events_say_where_some_were_removed(acme, home: Path) -> None:
    with closing(sqlite3.connect(home / "orchestrator.db")) as database, database:
        (last,) = database.execute("SELECT MAX(id) FROM events").fetchone()
        database.execute("DELETE FROM events WHERE id < ?", (last,))
    told = [json.loads(line) for line in acme("events", "--after", "1", "--json").out.splitlines()]
    assert [one["type"] for one in told][:1] == ["events.gap"]
    assert told[0]["data"] == {"after": 1, "first": last}
    assert [one["id"] for one in told[1:]] == [str(last)]
