"""Duties: one holder at a time, and who lost one can tell."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.domain.errors import LeaseLost
from orchestrator.store import duties
from orchestrator.store.database import Database
from orchestrator.store.duties import Duty

NOW = 1_800_000_000.0


def take(database: Database, holder: str, *, now: float = NOW) -> Duty | None:
    return database.run_sync(duties.take, "vault", holder=holder, now=now, lease_seconds=30.0)


def taken(database: Database, holder: str, *, now: float = NOW) -> Duty:
    duty = take(database, holder, now=now)
    assert duty is not None
    return duty


def test_a_duty_is_one_holders_until_its_lease_is_over(database: Database) -> None:
    first = taken(database, "a")
    assert first == Duty(name="vault", holder="a", fence=1, lease_until=NOW + 30)
    assert take(database, "b", now=NOW + 29) is None
    assert taken(database, "b", now=NOW + 30).fence == 2


def test_taking_what_one_holds_keeps_the_fence_and_lengthens_the_lease(database: Database) -> None:
    taken(database, "a")
    again = taken(database, "a", now=NOW + 20)
    assert (again.fence, again.lease_until) == (1, NOW + 50)
    assert taken(database, "a", now=NOW + 60).fence == 2  # what was begun before may have been given up


def test_a_renewal_lengthens_the_lease_and_fails_once_it_is_over(database: Database) -> None:
    duty = taken(database, "a")
    assert database.run_sync(duties.renew, duty, now=NOW + 20, lease_seconds=30.0)
    assert take(database, "b", now=NOW + 49) is None
    assert not database.run_sync(duties.renew, duty, now=NOW + 50, lease_seconds=30.0)


def test_nothing_is_written_under_a_duty_that_was_lost(database: Database) -> None:
    duty = taken(database, "a")
    database.run_sync(duties.must_hold, duty, now=NOW)
    taken(database, "b", now=NOW + 30)
    with pytest.raises(LeaseLost, match="'vault' is another's"):
        database.run_sync(duties.must_hold, duty, now=NOW)
    assert not database.run_sync(duties.give_up, duty)
    assert [d.holder for d in database.read_sync(duties.list_duties)] == ["b"]


def test_a_duty_that_is_given_up_is_free_at_once(database: Database) -> None:
    assert database.run_sync(duties.give_up, taken(database, "a"))
    second = taken(database, "b")
    database.run_sync(duties.release, "b")  # its worker is known to be dead
    assert (second.fence, taken(database, "c").fence) == (2, 3)


def test_of_many_that_ask_at_once_one_gets_it(database: Database) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda n: take(database, f"w{n}"), range(8)))
    assert sum(duty is not None for duty in found) == 1
