"""Copies of a database in use, and putting them back, completely or not at all."""

import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from orchestrator.domain.errors import (
    AlreadyExists,
    ConfigurationError,
    Conflict,
    DatabaseTooNew,
    InvalidInput,
    NotFound,
)
from orchestrator.domain.event import Event
from orchestrator.domain.project import Project
from orchestrator.store import backup as copies
from orchestrator.store import events, projects
from orchestrator.store.backup import Copy
from orchestrator.store.database import Database, open_database

pytestmark = pytest.mark.made_up_events

NOW = 1_800_000_000.0


@pytest.fixture
def file(sqlite_url: str) -> Path:
    return copies.sqlite_file(sqlite_url)


@pytest.fixture
def live(file: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{file}") as database:
        yield database


def quiet(_done: int, _total: int) -> None:
    pass


def save(source: Path, target: Path, *, overwrite: bool = False) -> Copy:
    return copies.backup(source, target, overwrite=overwrite, progress=quiet)


def put_back(source: Path, target: Path, *, overwrite: bool = True, **more: str) -> Copy:
    return copies.restore(source, target, overwrite=overwrite, progress=quiet, **more)


def add_pair(tx: Connection, number: int) -> None:
    """A project and an event that belong together."""
    name = f"p{number}"
    projects.create(tx, Project(id=name, name=name, created_at=NOW, updated_at=NOW))
    events.append(tx, Event(kind="project.noted", subject=name, at=NOW, data={"filler": "x" * 2000}))


def counted(file: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(file)) as copy:
        noted = "SELECT COUNT(*) FROM events WHERE kind = 'project.noted'"
        return copy.execute("SELECT COUNT(*) FROM projects").fetchone()[0], copy.execute(noted).fetchone()[0]


def test_a_copy_made_while_others_write_is_one_state(
    live: Database, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer commits between the steps of the copy, as another process would."""
    for number in range(200):
        live.run_sync(add_pair, number)
    steps = []

    def write_meanwhile(done: int, total: int) -> None:
        live.run_sync(add_pair, 1000 + len(steps))
        steps.append((done, total))

    monkeypatch.setattr(copies, "PAGES", 16)
    made = copies.backup(file, tmp_path / "copy.db", overwrite=False, progress=write_meanwhile)
    assert len(steps) > 5
    assert steps[-1][0] == steps[-1][1]
    assert counted(Path(made.path)) == (200, 200)
    assert live.read_sync(lambda tx: len(projects.list_projects(tx))) == 200 + len(steps)


def test_a_copy_is_its_owners_alone_and_one_file(live: Database, file: Path, tmp_path: Path) -> None:
    made = save(file, tmp_path / "copies" / "copy.db")
    where = Path(made.path)
    assert stat.S_IMODE(where.stat().st_mode) == 0o600
    assert [path.name for path in where.parent.iterdir()] == ["copy.db"]
    digest = subprocess.run(["sha256sum", where], capture_output=True, check=True, text=True).stdout
    assert digest.split()[0] == made.sha256


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("mine")
    with pytest.raises(AlreadyExists, match="--overwrite"):
        save(file, target)
    assert target.read_text() == "mine"
    save(file, target, overwrite=True)
    assert counted(target) == (0, 0)
    with pytest.raises(InvalidInput, match="the database itself"):
        save(file, file, overwrite=True)


def test_a_copy_that_fails_leaves_nothing(file: Path, tmp_path: Path) -> None:
    def fail(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copies.backup(file, tmp_path / "copies" / "copy.db", overwrite=False, progress=fail)
    assert list((tmp_path / "copies").iterdir()) == []
    with pytest.raises(NotFound, match="no database at"):
        save(tmp_path / "missing.db", tmp_path / "copy.db")


def test_what_was_copied_comes_back(file: Path, tmp_path: Path) -> None:
    with open_database(f"sqlite:///{file}") as before:
        before.run_sync(add_pair, 1)
        made = save(file, tmp_path / "copy.db")
        before.run_sync(add_pair, 2)
    assert put_back(tmp_path / "copy.db", file, sha256=made.sha256).sha256 == made.sha256
    with open_database(f"sqlite:///{file}") as after:
        assert [project.id for project in after.read_sync(projects.list_projects)] == ["p1"]


def test_ids_of_events_are_not_given_again(file: Path, tmp_path: Path) -> None:
    """A reader that saw the second event goes on from its id."""
    with open_database(f"sqlite:///{file}") as before:
        before.run_sync(add_pair, 1)
        save(file, tmp_path / "copy.db")
        before.run_sync(add_pair, 2)
        seen = before.read_sync(events.last_id)
    put_back(tmp_path / "copy.db", file)
    with open_database(f"sqlite:///{file}") as after:
        assert after.read_sync(events.last_id) < seen
        after.run_sync(add_pair, 3)
        assert after.read_sync(events.last_id) > seen


def test_a_database_in_use_by_another_process_is_not_replaced(file: Path, tmp_path: Path) -> None:
    save(file, tmp_path / "copy.db")
    holder = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import sys; from orchestrator.store.database import open_database\n"
            "with open_database(sys.argv[1]): print('open', flush=True); sys.stdin.read()",
            f"sqlite:///{file}",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(Conflict, match="is in use; nothing was changed"):
            put_back(tmp_path / "copy.db", file)
        assert holder.stdin is not None
        holder.stdin.close()
        holder.wait(30)
    put_back(tmp_path / "copy.db", file)


def test_a_restore_that_is_interrupted_changes_nothing(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "PAGES", 16)
    save(file, tmp_path / "copy.db")
    with open_database(f"sqlite:///{file}") as before:
        before.run_sync(add_pair, 1)

    def fail(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copies.restore(tmp_path / "copy.db", file, overwrite=True, progress=fail)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert counted(file) == (1, 1)


def test_a_restore_that_is_killed_changes_nothing_and_can_be_done_again(file: Path, tmp_path: Path) -> None:
    save(file, tmp_path / "copy.db")
    with open_database(f"sqlite:///{file}") as before:
        before.run_sync(add_pair, 1)
    program = (
        "import os, sys, signal; from pathlib import Path; from orchestrator.store import backup\n"
        "backup.PAGES = 16\n"
        "die = lambda done, total: os.kill(os.getpid(), signal.SIGKILL)\n"
        "backup.restore(Path(sys.argv[1]), Path(sys.argv[2]), overwrite=True, progress=die)"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "copy.db", file], check=False)
    assert done.returncode == -signal.SIGKILL
    assert counted(file) == (1, 1)
    put_back(tmp_path / "copy.db", file)
    assert counted(file) == (0, 0)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_damaged_database_is_kept_and_replaced(file: Path, tmp_path: Path) -> None:
    save(file, tmp_path / "copy.db")
    file.write_bytes(b"no database any more " * 1000)
    put_back(tmp_path / "copy.db", file)
    assert counted(file) == (0, 0)
    assert (file.parent / f"{file.name}.damaged").read_bytes().startswith(b"no database")


def test_a_new_place_gets_the_copy(file: Path, tmp_path: Path) -> None:
    save(file, tmp_path / "copy.db")
    target = tmp_path / "new" / "orchestrator.db"
    put_back(tmp_path / "copy.db", target, overwrite=False)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with pytest.raises(AlreadyExists):
        put_back(tmp_path / "copy.db", target, overwrite=False)


@pytest.mark.parametrize(
    ("harm", "error", "said"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", DatabaseTooNew, "a newer version"),
        ("DROP TABLE alembic_version", InvalidInput, "no database of orchestrator"),
        ("INSERT INTO task_dependencies VALUES ('a', 'b')", InvalidInput, "a key of task_dependencies"),
    ],
)
def test_what_cannot_be_used_is_refused(file: Path, tmp_path: Path, harm, error, said) -> None:
    copy = tmp_path / "copy.db"
    save(file, copy)
    with closing(sqlite3.connect(copy)) as changed, changed:
        changed.execute(harm)
    with pytest.raises(error, match=said):
        put_back(copy, file)


def test_a_torn_copy_and_one_with_another_digest_are_refused(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    save(file, copy)
    with pytest.raises(InvalidInput, match="has the digest"):
        put_back(copy, file, sha256="0" * 64)
    content = bytearray(copy.read_bytes())
    content[4096:9000] = b"\xff" * 4904
    copy.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"damaged|not a usable copy"):
        put_back(copy, file)
    copy.write_text("hello")
    with pytest.raises(InvalidInput, match="not a usable copy"):
        put_back(copy, file)
    with pytest.raises(NotFound, match="no backup at"):
        put_back(tmp_path / "missing", file)


def test_an_older_copy_is_brought_up_to_date_when_it_is_opened(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    save(file, copy)
    with closing(sqlite3.connect(copy)) as changed, changed:
        changed.execute("UPDATE alembic_version SET version_num = '0001'")
    assert put_back(copy, file).revision == "0001"


def test_postgresql_is_told_to_use_its_own_tools() -> None:
    with pytest.raises(ConfigurationError, match="pg_dump"):
        copies.sqlite_file("postgresql://somebody@127.0.0.1/orchestrator")


def test_a_copy_under_steady_writes_from_another_connection_ends(
    live: Database, file: Path, tmp_path: Path
) -> None:
    """A copy that began anew at each commit would never end."""
    live.run_sync(lambda tx: [add_pair(tx, number) for number in range(500)])
    stop = threading.Event()

    def write() -> None:
        number = 1000
        while not stop.is_set():
            number += 1
            live.run_sync(lambda tx: tx.execute(text("UPDATE projects SET weight = weight + 1")))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        save(file, tmp_path / "copy.db")
    finally:
        stop.set()
        writer.join()
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT COUNT(DISTINCT weight) FROM projects").fetchone() == (1,)
