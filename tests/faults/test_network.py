"""What happens when a worker's network is gone and nobody is told: no connection is refused or closed."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from faults import weather
from faults.storm import Nursery, Storm, left_over, until
from faults.wire import Wire, can_be_laid, networks_are_separated
from orchestrator.store import attempts
from orchestrator.store.database import open_database

pytestmark = [
    pytest.mark.faults,
    pytest.mark.postgres,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not can_be_laid(), reason="networks of their own need root, and iproute2"),
]

Far = Callable[[], AbstractContextManager[tuple[Storm, Wire]]]
LIMIT = 4


@pytest.fixture
def far(postgres_url: str, tmp_path: Path, fake_cli: str) -> Far:
    """A storm whose workers reach PostgreSQL over a wire."""

    @contextmanager
    def begin() -> Iterator[tuple[Storm, Wire]]:
        with ExitStack() as stack:
            database = stack.enter_context(open_database(postgres_url, migrate=True))
            wire = stack.enter_context(closing(Wire()))
            proxy = stack.enter_context(closing(weather.Proxy(postgres_url, host=wire.host)))
            home = tmp_path / "home"
            nursery = stack.enter_context(Nursery(proxy.url, home, fake_cli, inside=wire.inside))
            yield Storm(database=database, nursery=nursery, seats=1, limit=LIMIT), wire

    return begin


def test_an_attempt_ends_with_its_lease_although_the_database_only_keeps_silent(far, tmp_path) -> None:
    with far() as (storm, wire):
        storm.begin()
        started, go = tmp_path / "started", tmp_path / "go"
        task_id = storm.ask(f"touch={started};wait_for={go};result=whole")
        with weather.at_work(storm, **weather.SHORT):
            until(started.exists, 20)
            wire.cut()
            assert left_over(storm.prefix, seconds=10) == [], "its lease is over, and nobody could say so"
            wire.join()
            go.touch()
            assert storm.finish() == []
        found = storm.database.read_sync(attempts.of_task, task_id)
        assert [one.outcome for one in found] == ["lost", "completed"]


def test_an_attempt_goes_on_while_the_network_is_away_for_less_than_its_lease(far, tmp_path) -> None:
    with far() as (storm, wire):
        storm.begin()
        started, go = tmp_path / "started", tmp_path / "go"
        task_id = storm.ask(f"touch={started};wait_for={go};touch={tmp_path / 'ended'};result=whole")
        with weather.at_work(storm, lease_seconds=60.0):
            until(started.exists, 20)
            wire.cut()
            go.touch()
            until((tmp_path / "ended").exists, 20)
            wire.join()
            assert storm.finish() == []
        found = storm.database.read_sync(attempts.of_task, task_id)
        assert [one.outcome for one in found] == ["completed"]


def test_networks_that_are_separated_and_joined_lose_and_double_nothing(far, postgres_url) -> None:
    with far() as (storm, wire):
        assert networks_are_separated(storm, wire, postgres_url, times=2) == []
