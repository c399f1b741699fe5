"""`orchestrator move`, as typed."""

from pathlib import Path

import pytest

from orchestrator.cli import exit_codes
from orchestrator.store.database import open_database


@pytest.mark.postgres
def test_an_installation_moves_to_postgresql_by_one_command(cli, home: Path, postgres_url: str) -> None:
    assert cli("project", "add", "acme").code == 0
    task = cli("task", "add", "do it", "--json").json["created"]
    with open_database(f"sqlite:///{home / 'orchestrator.db'}"):
        busy = cli("move", "--to", postgres_url)
    assert (busy.code, "is in use" in busy.err) == (exit_codes.REFUSED, True)
    moved = cli("move", "--to", postgres_url, "--json").json
    rows = {one["table"]: one["rows"] for one in moved["tables"]}
    assert (rows["tasks"], rows["projects"]) == (1, 1)
    assert rows["agent_profiles"] > 3
    there = cli("--database", postgres_url, "task", "show", task, "--json").json
    assert there == cli("task", "show", task, "--json").json
    again = cli("move", "--to", postgres_url)
    assert (again.code, "is not empty" in again.err) == (exit_codes.REFUSED, True)


def test_the_sums_are_shown_and_the_next_step(cli, tmp_path: Path) -> None:
    assert cli("project", "add", "acme").code == 0
    said = cli("move", "--to", f"sqlite:///{tmp_path / 'other.db'}")
    assert said.code == 0
    assert "now set database.url" in said.out
    assert "projects" in said.out
    assert cli("move", "--to", "mysql://x").code == exit_codes.CONFIGURATION
