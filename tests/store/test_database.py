"""The door to SQL: one transaction for each call, on both databases, whatever goes wrong around it."""

import asyncio
import contextlib
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, insert, select, text

from orchestrator.domain.errors import ConfigurationError, Conflict, DatabaseUnavailable
from orchestrator.domain.project import Project
from orchestrator.store import engines, projects
from orchestrator.store.database import Database, open_database
from orchestrator.store.tables import projects as table

ACME = Project(id="acme", name="Acme", created_at=1.0, updated_at=1.0)


class OutOfPatience(Exception):
    """Raised on purpose."""


def names(tx: Connection) -> list[str]:
    return list(tx.execute(select(table.c.id).order_by(table.c.id)).scalars())


def add(tx: Connection, project_id: str) -> None:
    tx.execute(insert(table).values(id=project_id, name=project_id, created_at=1.0, updated_at=1.0))


def test_what_was_run_is_seen_by_everybody(database: Database, open_again: Callable[[], Database]) -> None:
    database.run_sync(projects.create, ACME)
    assert open_again().read_sync(projects.get, "acme") == ACME


def test_an_exception_undoes_everything(database: Database) -> None:
    def half(tx: Connection) -> None:
        add(tx, "first")
        raise OutOfPatience

    with pytest.raises(OutOfPatience):
        database.run_sync(half)
    assert database.read_sync(names) == []


async def _run_and_read(database: Database) -> list[str]:
    await asyncio.gather(*(database.run(add, f"p{number}") for number in range(20)))
    return await database.read(names)


def test_many_callers_at_once_each_get_their_own_transaction(database: Database) -> None:
    assert len(asyncio.run(_run_and_read(database))) == 20


def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        database.read_sync(add, "sneaked-in")
    assert database.read_sync(names) == []


def test_a_reader_sees_one_state_however_long_it_looks(database: Database) -> None:
    looked, wrote = threading.Event(), threading.Event()

    def look_twice(tx: Connection) -> tuple[list[str], list[str]]:
        first = names(tx)
        looked.set()
        assert wrote.wait(60)
        return first, names(tx)

    async def both() -> tuple[list[str], list[str]]:
        reading = asyncio.create_task(database.read(look_twice))
        await asyncio.to_thread(looked.wait, 60)
        await database.run(add, "late")
        wrote.set()
        return await reading

    assert asyncio.run(both()) == ([], [])
    assert database.read_sync(names) == ["late"]


def test_a_cancelled_call_has_ended_when_it_raises(database: Database) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(tx: Connection) -> None:
        add(tx, "slow")
        entered.set()
        assert leave.wait(60)

    async def cancel_it() -> list[str]:
        call = asyncio.create_task(database.run(slow))
        await asyncio.to_thread(entered.wait, 60)
        call.cancel()
        asyncio.get_running_loop().call_later(0.05, leave.set)
        with pytest.raises(asyncio.CancelledError):
            await call
        return await database.read(names)

    assert asyncio.run(cancel_it()) == ["slow"]


def test_a_call_cancelled_before_it_began_never_happens(sqlite_url: str) -> None:
    leave = threading.Event()

    async def cancel_second(database: Database) -> list[str]:
        first = asyncio.create_task(database.run(lambda tx: leave.wait(60)))
        second = asyncio.create_task(database.run(add, "second"))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        leave.set()
        await first
        return await database.read(names)

    with open_database(sqlite_url) as database:
        assert asyncio.run(cancel_second(database)) == []


def test_a_clash_of_ids_is_a_conflict_with_nothing_changed(database: Database) -> None:
    database.run_sync(add, "acme")
    with pytest.raises(Conflict, match="nothing was changed"):
        database.run_sync(add, "acme")


def test_foreign_keys_hold_on_both(database: Database) -> None:
    task = "INSERT INTO tasks (id, project_id, title, prompt, state, created_at, updated_at, priority) "
    with pytest.raises(Conflict):
        database.run_sync(
            lambda tx: tx.execute(text(task + "VALUES ('t', 'nowhere', '', '', 'READY', 1, 1, 1)"))
        )


@pytest.mark.postgres
def test_a_deadlock_is_run_again(postgres_url: str) -> None:
    """Two transactions take two rows in opposite order; one of them is sent back and does it again."""
    meet = threading.Barrier(2, timeout=20)
    rounds: list[str] = []

    def crosswise(tx: Connection, first: str, second: str) -> None:
        rounds.append(first)
        tx.execute(text("UPDATE projects SET weight = weight + 1 WHERE id = :id"), {"id": first})
        if len(rounds) <= 2:
            meet.wait()
        tx.execute(text("UPDATE projects SET weight = weight + 1 WHERE id = :id"), {"id": second})

    async def clash(database: Database) -> None:
        for name in ("a", "b"):
            await database.run(add, name)
        await asyncio.gather(database.run(crosswise, "a", "b"), database.run(crosswise, "b", "a"))

    with open_database(postgres_url) as database:
        asyncio.run(clash(database))
        weights = database.read_sync(
            lambda tx: list(tx.execute(text("SELECT weight FROM projects")).scalars())
        )
    assert weights == [3.0, 3.0]
    assert len(rounds) >= 3  # on a busy machine both may be sent back


@pytest.mark.postgres
def test_a_server_that_was_restarted_is_not_noticed(postgres_url: str) -> None:
    with open_database(postgres_url) as database:
        database.run_sync(add, "before")
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert database.read_sync(names) == ["before"]
        database.run_sync(add, "after")
        assert database.read_sync(names) == ["after", "before"]


@pytest.mark.postgres
def test_a_connection_lost_while_committing_is_not_guessed_about(postgres_url: str) -> None:
    def doomed(tx: Connection) -> None:
        add(tx, "unsure")
        # Deferred to the commit, where the backend then ends itself.
        tx.execute(text("CREATE TEMP TABLE last_words (id int) ON COMMIT PRESERVE ROWS"))
        tx.execute(
            text(
                "CREATE FUNCTION pg_temp.die() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); "
                "RETURN NULL; END $$"
            )
        )
        tx.execute(
            text(
                "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON last_words DEFERRABLE INITIALLY DEFERRED "
                "FOR EACH ROW EXECUTE FUNCTION pg_temp.die()"
            )
        )
        tx.execute(text("INSERT INTO last_words VALUES (1)"))

    with open_database(postgres_url) as database:
        with pytest.raises(DatabaseUnavailable, match="may or may not have been stored"):
            database.run_sync(doomed)
        assert database.read_sync(names) == []


def test_nobody_listening_there_is_said_with_the_address_but_not_the_password() -> None:
    with pytest.raises(DatabaseUnavailable) as error:
        open_database("postgresql://someone:hunter2@127.0.0.1:1/orchestrator")
    assert "127.0.0.1:1" in str(error.value)
    assert "Check that it runs" in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.postgres
def test_a_database_that_does_not_exist_is_said_so(postgres_server: Any) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"does not exist.*\(`createdb nowhere`"):
        open_database(postgres_server.address("nowhere"))


@pytest.mark.postgres
def test_a_user_who_does_not_exist_is_said_to_be_the_fault(postgres_server: Any) -> None:
    url = engines.parse(postgres_server.uri).set(username="stranger")
    with pytest.raises(DatabaseUnavailable, match=r"does not let this user in .*Correct the user") as error:
        open_database(url.render_as_string(hide_password=False))
    assert "Check that it runs" not in str(error.value)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ('password authentication failed for user "x"', "does not let this user in"),
        ('no pg_hba.conf entry for host "10.0.0.1", user "x", database "y"', "pg_hba.conf admit him"),
        (
            "Passwort-Authentifizierung fehlgeschlagen",
            "Check that it runs, and that address, user and password",
        ),
    ],
)
def test_what_a_server_says_before_it_lets_anybody_in_names_the_way_out(said: str, advice: str) -> None:
    with refusing_server(said) as port, pytest.raises(DatabaseUnavailable) as error:
        open_database(f"postgresql://x:hunter2@127.0.0.1:{port}/y")
    assert said in str(error.value)
    assert advice in str(error.value)
    assert "hunter2" not in str(error.value)


@contextlib.contextmanager
def refusing_server(message: str) -> Iterator[int]:
    """Speaks just enough of PostgreSQL's protocol to refuse whoever comes; yields its port."""
    fields = {"S": "FATAL", "C": "28P01", "M": message}
    body = b"".join(f"{key}{value}\0".encode() for key, value in fields.items()) + b"\0"
    encryption = (80877103, 80877104)  # SSLRequest and GSSENCRequest

    def refuse() -> None:
        with contextlib.suppress(OSError):  # closed: the test is over
            while True:
                client, _ = listener.accept()
                with client:
                    length, code = struct.unpack("!ii", client.recv(8, socket.MSG_WAITALL))
                    while code in encryption:
                        client.sendall(b"N")
                        length, code = struct.unpack("!ii", client.recv(8, socket.MSG_WAITALL))
                    client.recv(length - 8, socket.MSG_WAITALL)
                    client.sendall(b"E" + struct.pack("!i", len(body) + 4) + body)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=10)


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://localhost/x", "sqlite://", "sqlite:///:memory:"])
def test_an_address_that_cannot_be_used_names_the_setting(url: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        open_database(url)
    assert error.value.field == "database.url"


def test_a_short_spelling_of_postgresql_is_understood() -> None:
    assert engines.parse("postgres://host/name").drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("postgresql://u:pw@h:5433/name?sslmode=require", "postgresql://u:***@h:5433/name"),
        ("postgresql://u@/name?host=/run/pg&port=5433", "postgresql://u@/name?host=/run/pg&port=5433"),
        ("postgresql://u@/name?password=pw&passfile=p&host=/run/pg", "postgresql://u@/name?host=/run/pg"),
    ],
)
def test_a_server_is_named_with_where_it_is_and_never_with_a_password(address: str, place: str) -> None:
    assert engines.place(engines.parse(address)) == place


# SQLite and the file system around it


@pytest.fixture
def small_disk(sqlite_url: str) -> Iterator[Database]:
    """A database whose file cannot grow by much."""
    with open_database(sqlite_url) as database:
        database.run_sync(
            lambda tx: tx.exec_driver_sql(
                f"PRAGMA max_page_count = {tx.exec_driver_sql('PRAGMA page_count').scalar_one() + 4}"
            ).fetchall()
        )
        yield database


def test_a_full_database_changes_nothing_and_says_what_to_do(small_disk: Database) -> None:
    def write_much(tx: Connection) -> None:
        for number in range(500):
            add(tx, f"project-{number}-{'x' * 400}")

    with pytest.raises(DatabaseUnavailable, match=r"is full; nothing was changed\. Free some space"):
        small_disk.run_sync(write_much)
    assert small_disk.read_sync(names) == []
    small_disk.run_sync(add, "small")
    assert small_disk.read_sync(names) == ["small"]


FILL = """
import resource, signal, sys
from sqlalchemy import text
from orchestrator.domain.errors import DatabaseUnavailable
from orchestrator.store.database import open_database

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open_database(sys.argv[1]) as database:
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    insert = "INSERT INTO projects (id, name, created_at, updated_at) VALUES (:id, :id, 1, 1)"
    for number in range(400):
        try:
            database.run_sync(lambda tx: tx.execute(text(insert), {"id": f"{number:04}" + "x" * 4000}))
        except DatabaseUnavailable as error:
            print(number, error)
            break
"""


def test_a_write_error_keeps_every_earlier_commit(sqlite_url: str) -> None:
    """A limit on the size of files, so that the operating system itself refuses to write."""
    done = subprocess.run(
        [sys.executable, "-c", FILL, sqlite_url], capture_output=True, text=True, timeout=60, check=True
    )
    number, _, message = done.stdout.partition(" ")
    assert "nothing was changed" in message, done.stderr
    with open_database(sqlite_url) as database:
        assert len(database.read_sync(names)) == int(number) > 0


def test_a_lock_held_by_another_process_is_waited_for_and_then_named(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.2)
    path = engines.place(engines.parse(sqlite_url))
    hold = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, path]
    with (
        open_database(sqlite_url) as database,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other,
    ):
        assert other.stdout
        assert other.stdin
        assert other.stdout.readline() == "held\n"
        with pytest.raises(DatabaseUnavailable, match=f"stayed locked by another process.*fuser {path}"):
            database.run_sync(add, "waiting")
        assert database.read_sync(names) == []  # readers go on
        other.stdin.close()
        other.wait(60)
        database.run_sync(add, "waiting")
        assert database.read_sync(names) == ["waiting"]


def test_a_new_file_that_another_process_is_just_opening_is_waited_for(tmp_path: Path) -> None:
    """SQLite says at once that it is busy, as it does to a connection that has no time to wait."""
    path = tmp_path / "new.db"
    with (
        contextlib.closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other,
        contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as ours,
    ):
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            engines.write_ahead(ours, patience=0)
        soon = threading.Timer(0.1, other.execute, ["COMMIT"])
        soon.start()
        engines.write_ahead(ours, patience=20)
        soon.join()
        assert ours.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.postgres
def test_a_lock_is_waited_for_until_a_host_that_has_gone_silent_cannot_hold_it(postgres_url: str) -> None:
    silence = engines.SILENCE["keepalives_idle"]
    silence += engines.SILENCE["keepalives_interval"] * engines.SILENCE["keepalives_count"]
    with open_database(postgres_url, migrate=True) as database:
        ask = text("SELECT extract(epoch FROM current_setting('lock_timeout')::interval)")
        patience = database.read_sync(lambda tx: float(tx.execute(ask).scalar_one()))
    assert patience > silence
    assert patience * 1000 > engines.SILENCE["tcp_user_timeout"]


WRITE = """
import sys
from sqlalchemy import text
from orchestrator.store.database import open_database

with open_database(sys.argv[1]) as database:
    for number in range(150):
        insert = "INSERT INTO projects (id, name, created_at, updated_at) VALUES (:id, :id, 1, 1)"
        database.run_sync(lambda tx: tx.execute(text(insert), {"id": f"{sys.argv[2]}-{number}"}))
"""


def test_two_processes_write_at_the_same_time_and_nothing_is_lost(database_url: str) -> None:
    both = [
        subprocess.Popen([sys.executable, "-c", WRITE, database_url, name], stderr=subprocess.PIPE)
        for name in ("one", "two")
    ]
    complaints = [process.communicate(timeout=60)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], complaints
    with open_database(database_url) as database:
        assert len(database.read_sync(names)) == 300


AS_STRANGER = """
import os, sys
from sqlalchemy import text
from orchestrator.domain.errors import DatabaseUnavailable
from orchestrator.store.database import open_database
from orchestrator.store import migrations

if os.geteuid() == 0:  # to whom every file is writable
    os.seteuid(65534)
try:
    with open_database(sys.argv[1]) as database:
        database.run_sync(lambda tx: tx.execute(text("DELETE FROM projects")))
except DatabaseUnavailable as error:
    print(error)
"""


def test_a_file_that_may_not_be_written_is_named(sqlite_template: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orchestrator.db"
        shutil.copy(sqlite_template, path)
        path.chmod(0o444)
        path.parent.chmod(0o555)
        command = [sys.executable, "-c", AS_STRANGER, f"sqlite:///{path}"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        path.parent.chmod(0o755)
    assert str(path) in said
    assert "owner and the permissions" in said or "may write there" in said


def test_a_database_on_a_read_only_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(DatabaseUnavailable, match="cannot be opened or created"):
        open_database(f"sqlite:///{tmp_path}/file/orchestrator.db")


def test_a_damaged_file_is_said_to_be_damaged(sqlite_url: str) -> None:
    path = Path(engines.place(engines.parse(sqlite_url)))
    with sqlite3.connect(path) as raw:
        (size,) = raw.execute("PRAGMA page_size").fetchone()
        indexes = "SELECT rootpage FROM sqlite_master WHERE tbl_name = 'projects' AND type = 'index'"
        roots = [root for (root,) in raw.execute(indexes)]
    raw.close()
    with path.open("r+b") as file:
        for root in roots:
            file.seek((root - 1) * size)
            file.write(b"\xff" * size)
    with (
        open_database(sqlite_url) as database,
        pytest.raises(DatabaseUnavailable, match=r"is damaged.*restore a copy"),
    ):
        database.read_sync(projects.list_projects)


def test_full_durability_is_one_word_in_the_address(sqlite_url: str) -> None:
    with open_database(f"{sqlite_url}?synchronous=full") as database:
        assert database.run_sync(lambda tx: tx.exec_driver_sql("PRAGMA synchronous").scalar()) == 2
    with pytest.raises(ConfigurationError):
        open_database(f"{sqlite_url}?synchronous=sometimes")
