"""`orchestrator move`, as typed."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from databases import PostgresServer
from orchestrator.cli import exit_codes
from orchestrator.store.database import open_database

Strange = Callable[[str], str]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def strange(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Strange]:
    """Makes a database with one table of another program, and says its address."""
    if request.param == "sqlite":
        file = tmp_path / "strange.db"

        def make(table: str) -> str:
            with contextlib.closing(sqlite3.connect(file)) as connection:
                connection.execute(f"CREATE TABLE {table} (id)")
            return f"sqlite:///{file}"

        yield make
        return
    server = request.getfixturevalue("postgres_server")
    address = server.create(migrated=False)

    def make_there(table: str) -> str:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE TABLE {table} (id integer)")
        return str(address)

    yield make_there
    server.drop(address)


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


def test_the_sums_are_shown_and_the_next_step(cli, home: Path, tmp_path: Path) -> None:
    assert cli("project", "add", "acme").code == 0
    said = cli("move", "--to", f"sqlite:///{tmp_path / 'other.db'}")
    assert said.code == 0
    assert f"Make {home / 'config.yaml'} with" in said.out
    (line,) = (line for line in said.out.splitlines() if line.startswith("  database: {url: "))
    (home / "config.yaml").write_text(line.strip(), encoding="utf-8")
    assert f"database.url is from {home / 'config.yaml'}" in said.out
    rows = {row["key"]: row["origin"] for row in cli("config", "show", "--json").json["settings"]}
    assert rows["database.url"] == str(home / "config.yaml")
    further = cli("move", "--to", f"sqlite:///{tmp_path / 'third.db'}")
    assert f"Write into {home / 'config.yaml'}, instead" in further.out
    assert "other.db, schema" in "".join(cli("doctor", "--json").out)
    assert "projects" in said.out


def test_where_the_address_came_from_is_where_the_new_one_is_to_be(cli, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_DATABASE__URL", f"sqlite:///{tmp_path / 'first.db'}")
    assert cli("project", "add", "acme").code == 0
    second = f"sqlite:///{tmp_path / 'second.db'}"
    moved = cli("move", "--to", second, "--json").json
    assert (moved["set_in"], moved["set_line"]) == ("environment", f"ORCHESTRATOR_DATABASE__URL={second}")
    monkeypatch.delenv("ORCHESTRATOR_DATABASE__URL")
    (tmp_path / "database__url").write_text(second)
    monkeypatch.setenv("ORCHESTRATOR_SECRETS_DIR", str(tmp_path))
    moved = cli("move", "--to", f"sqlite:///{tmp_path / 'third.db'}", "--json").json
    assert moved["set_in"] == str(tmp_path / "database__url")


def test_a_file_of_an_earlier_move_is_refused_with_how_to_put_it_aside(cli, tmp_path: Path) -> None:
    assert cli("project", "add", "acme").code == 0
    old = tmp_path / "other.db"
    assert cli("move", "--to", f"sqlite:///{old}").code == 0
    again = cli("move", "--to", f"sqlite:///{old}")
    assert (again.code, f"`mv {old} {old}.old`" in again.err) == (exit_codes.REFUSED, True)


@pytest.mark.parametrize("to", ["nonsense", "mysql://localhost/x"])
def test_the_new_address_is_looked_at_before_anything_else(cli, home: Path, to: str) -> None:
    assert cli("project", "add", "acme").code == 0
    with open_database(f"sqlite:///{home / 'orchestrator.db'}"):
        said = cli("move", "--to", to)
    assert said.code == exit_codes.CONFIGURATION
    assert said.err.startswith("error: --to ")


@pytest.mark.parametrize("table", ["tasks", "invoices"])
def test_a_database_with_tables_of_a_stranger_is_refused(cli, strange: Strange, table: str) -> None:
    assert cli("project", "add", "acme").code == 0
    said = cli("move", "--to", strange(table))
    assert said.code == exit_codes.REFUSED
    assert f"is not empty: it has tables that are not orchestrator's ({table})" in said.err
    assert "empty database or schema" in said.err


def test_tables_of_a_stranger_are_not_migrated_over(cli, strange: Strange) -> None:
    said = cli("--database", strange("tasks"), "migrate")
    assert (said.code, "(tasks)" in said.err) == (exit_codes.REFUSED, True)


@pytest.mark.postgres
def test_a_schema_of_its_own_beside_a_stranger_is_enough(cli, postgres_server: PostgresServer) -> None:
    assert cli("project", "add", "acme").code == 0
    address = postgres_server.create(migrated=False)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE TABLE tasks (id integer)")
        connection.execute("CREATE SCHEMA ours")
    there = f"{address}{'&' if '?' in address else '?'}options=-csearch_path%3Dours"
    assert cli("move", "--to", there).code == 0
    assert cli("--database", there, "project", "list", "--json").json["projects"][0]["id"] == "acme"
    postgres_server.drop(address)
