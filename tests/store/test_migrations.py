"""Migrations: from every age to the present one, on both databases."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from orchestrator.domain.errors import DatabaseNotMigrated, DatabaseTooNew
from orchestrator.store import engines, migrations
from orchestrator.store.database import open_database
from orchestrator.store.migrations import Age
from orchestrator.store.tables import REVISION, metadata

OPEN = """
import sys
from orchestrator.store.database import open_database
open_database(sys.argv[1], migrate=True).close()
"""


def revisions() -> list[str]:
    """Every revision there is, the oldest first."""
    directory = ScriptDirectory(str(migrations.scripts()))
    return [script.revision for script in directory.walk_revisions()][::-1]


def difference(tx: Connection) -> list[Any]:
    return list(compare_metadata(MigrationContext.configure(tx, opts={"compare_type": True}), metadata))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'new' / 'orchestrator.db'}"
        return
    server = request.getfixturevalue("postgres_server")
    address = server.create(migrated=False)
    yield address
    server.drop(address)


def engine_for(url: str) -> Any:
    parsed = engines.parse(url)
    if parsed.get_backend_name() == "postgresql":
        return engines.postgresql(parsed)
    Path(parsed.database or "").parent.mkdir(exist_ok=True)
    return engines.sqlite_writer(parsed)


@pytest.mark.parametrize("start", [None, *revisions()])
def test_every_age_is_brought_to_what_the_tables_say(empty_url: str, start: str | None) -> None:
    engine = engine_for(empty_url)
    if start is not None:
        with engine.begin() as tx:
            migrations.upgrade(tx, start)
    with engine.begin() as tx:
        migrations.upgrade(tx)
    with engine.begin() as tx:
        assert difference(tx) == []
        assert migrations.age(tx) is Age.CURRENT
    engine.dispose()


def test_the_tables_name_the_latest_migration() -> None:
    """`open_database` compares with that name alone, so that a start need not load the migrations."""
    assert revisions()[-1] == REVISION


def test_a_migration_keeps_what_is_there(empty_url: str) -> None:
    engine = engine_for(empty_url)
    with engine.begin() as tx:
        migrations.upgrade(tx, "0001")
        tx.execute(
            text("INSERT INTO projects (id, name, created_at, updated_at) VALUES ('acme', 'Acme', 1, 2)")
        )
        migrations.upgrade(tx)
    with engine.begin() as tx:
        row = tx.execute(text("SELECT name, updated_at, default_profile_id FROM projects")).one()
    assert tuple(row) == ("Acme", 2.0, None)
    engine.dispose()


def test_the_profile_table_is_as_specified(empty_url: str) -> None:
    with open_database(empty_url, migrate=True) as database:
        columns = database.read_sync(lambda tx: inspect(tx).get_columns("agent_profiles"))
    specified = {
        "id": None,
        "name": None,
        "description": "''",
        "model": "''",
        "permission_mode": "''",
        "allowed_tools": "'[]'",
        "mcp_servers": "'{}'",
        "system_prompt_suffix": "''",
        "install": "'{}'",
        "created_at": None,
        "updated_at": None,
    }
    found = {column["name"]: (column["default"] or "").removesuffix("::text") or None for column in columns}
    assert list(found)[: len(specified)] == list(specified)
    assert found | specified == found
    added = [column for column in columns if column["name"] not in specified]
    assert all(column["nullable"] or column["default"] for column in added)


def test_a_new_sqlite_database_migrates_itself(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state/orchestrator.db"
    with open_database(url) as database:
        assert database.read_sync(migrations.age) is Age.CURRENT
    mode = (tmp_path / "state" / "orchestrator.db").stat().st_mode
    assert mode & 0o077 == 0


def test_sqlite_may_be_opened_without_changing_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state/orchestrator.db"
    with pytest.raises(DatabaseNotMigrated, match="orchestrator migrate"):
        open_database(url, migrate=False)
    assert not (tmp_path / "state").exists()


@pytest.mark.postgres
def test_a_shared_database_is_not_migrated_unasked(postgres_server: Any) -> None:
    address = postgres_server.create(migrated=False)
    with pytest.raises(DatabaseNotMigrated, match="has no tables yet; run `orchestrator migrate`"):
        open_database(address)
    open_database(address, migrate=True).close()
    open_database(address).close()
    postgres_server.drop(address)


def test_a_newer_database_is_left_alone(database_url: str) -> None:
    engine = engine_for(database_url)
    with engine.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseTooNew, match="newer version"):
        open_database(database_url, migrate=True)
    with engine.begin() as tx:
        assert tx.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
    engine.dispose()


def test_a_migration_that_fails_leaves_nothing_behind(empty_url: str) -> None:
    engine = engine_for(empty_url)

    def half(tx: Connection) -> None:
        migrations.upgrade(tx, "0001")
        tx.execute(text("CREATE TABLE tasks (id INTEGER)"))

    with pytest.raises(Exception, match="tasks"), engine.begin() as tx:
        half(tx)
    with engine.begin() as tx:
        assert inspect(tx).get_table_names() == []
    engine.dispose()


def test_two_processes_that_start_at_once_migrate_once(empty_url: str) -> None:
    command = [sys.executable, "-c", OPEN, empty_url]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    complaints = [process.communicate(timeout=60)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], complaints
    with open_database(empty_url, migrate=False) as database:
        assert database.read_sync(difference) == []


def test_another_program_s_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("This is not a database, but long enough to be looked at as one." * 20)
    with pytest.raises(Exception, match=r"notes\.txt is not a SQLite database"):
        open_database(f"sqlite:///{path}")


def test_the_migrations_need_no_server_side_upgrade_of_sqlite() -> None:
    assert sqlite3.sqlite_version_info >= (3, 35, 0)  # RETURNING, which the queue relies on
