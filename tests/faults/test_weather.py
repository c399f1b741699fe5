"""What happens to databases, disks and clocks: `make faults` does the same for longer, and more of it."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from faults import weather
from faults.storm import Nursery, Storm, left_over, until
from orchestrator.domain.task import TaskState
from orchestrator.store import attempts, tasks
from orchestrator.store.database import open_database

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

Begin = Callable[..., AbstractContextManager[Storm]]


@pytest.fixture(scope="module")
def server() -> Iterator[weather.Server]:
    """Its own, to be killed. Not below pytest's directory: root runs it as another user, who may not go
    there."""
    place = Path(tempfile.mkdtemp(prefix="orchestrator-weather-"))
    place.chmod(0o755)
    made = weather.Server(place / "server")
    yield made
    made.close()
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def storm_over(tmp_path: Path, fake_cli: str) -> Begin:
    @contextmanager
    def begin(url: str, *, seats: int = 1) -> Iterator[Storm]:
        with open_database(url, migrate=True) as database, Nursery(url, tmp_path / "home", fake_cli) as made:
            yield Storm(database=database, nursery=made, seats=seats, limit=4)

    return begin


@pytest.mark.postgres
def test_an_attempt_goes_on_while_the_database_is_away_and_is_recorded_when_it_is_back(
    server, storm_over, tmp_path
) -> None:
    with storm_over(server.url) as storm:
        storm.begin()
        started, go = tmp_path / "started", tmp_path / "go"
        task_id = storm.ask(f"touch={started};wait_for={go};touch={tmp_path / 'ended'};result=whole")
        with weather.at_work(storm, lease_seconds=20.0):
            until(started.exists, 20)
            storm.ask("result=whole")
            server.kill()
            go.touch()
            until((tmp_path / "ended").exists, 20)
            server.start()
            assert storm.finish() == []
        assert [one.outcome for one in storm.database.read_sync(attempts.of_task, task_id)] == ["completed"]


@pytest.mark.postgres
def test_an_attempt_ends_when_the_database_was_away_for_longer_than_its_lease(
    server, storm_over, tmp_path
) -> None:
    with storm_over(server.url) as storm:
        storm.begin()
        started, go = tmp_path / "started", tmp_path / "go"
        task_id = storm.ask(f"touch={started};wait_for={go};result=whole")
        with weather.at_work(storm, **weather.SHORT):
            until(started.exists, 20)
            server.kill()
            assert left_over(storm.prefix, seconds=20) == [], "its lease is over, and nobody could say so"
            server.start()
            go.touch()
            assert storm.finish() == []
        found = storm.database.read_sync(attempts.of_task, task_id)
        assert [one.outcome for one in found] == ["lost", "completed"]


@pytest.mark.postgres
def test_connections_that_are_cut_in_the_middle_of_a_commit_lose_and_double_nothing(
    postgres_url, storm_over
) -> None:
    proxy = weather.Proxy(postgres_url)
    with contextlib.closing(proxy), storm_over(proxy.url, seats=2) as storm:
        assert weather.connections_are_cut(storm, proxy, times=4) == []
    assert proxy.cuts > 4


def test_a_full_disk_delays_everything_and_loses_nothing(sqlite_url, storm_over) -> None:
    with storm_over(sqlite_url) as storm:
        assert weather.disk_is_full(storm, times=1) == []


def test_a_worker_whose_clock_is_wrong_goes_by_the_databases(postgres_url, storm_over) -> None:
    with storm_over(postgres_url, seats=3) as storm:
        assert weather.clocks_are_wrong(storm, times=1) == []


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_a_worker_elsewhere_hears_of_a_cancel_a_timeout_and_a_drain(
    kind, request, storm_over, tmp_path
) -> None:
    url = str(request.getfixturevalue("sqlite_url" if kind == "sqlite" else "postgres_url"))
    with storm_over(url) as storm:
        storm.begin()
        scripts = {name: f"touch={tmp_path / name};hang" for name in ("cancelled", "slow", "drained")}
        ids = {name: storm.ask(script, anyhow=True) for name, script in scripts.items() if name != "slow"}
        ids["slow"] = storm.ask(scripts["slow"], anyhow=True, timeout_seconds=1.0, max_attempts=1)
        one = storm.nursery.fork(slots=4, drain_seconds=0.2)
        until(lambda: all((tmp_path / name).exists() for name in scripts), 20)
        storm.database.run_sync(tasks.cancel, ids["cancelled"], now=time.time())
        until(lambda: storm.state(ids["cancelled"]) is TaskState.CANCELLED, 20)
        until(lambda: storm.state(ids["slow"]) is TaskState.FAILED, 20)
        storm.drain()
        assert one.gone(20)
        assert storm.first_outcome(ids["drained"], 5) == "interrupted"
        assert storm.state(ids["drained"]) is TaskState.READY
        assert left_over(storm.prefix) == []
