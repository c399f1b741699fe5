"""A fleet in virtual time, small; the long form is `make simulate`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SIMULATE = Path(__file__).parents[2] / "bench" / "simulate.py"


def simulated(seed: int) -> Any:
    """A busy day of 60 projects on 16 hosts, which fall silent six times an hour."""
    sizes = ("--projects", "60", "--tasks", "2000", "--hosts", "16", "--slots", "4")
    rough = ("--deaths-per-host-hour", "6", "--seed", str(seed), "--json")
    done = subprocess.run(
        [sys.executable, str(SIMULATE), *sizes, *rough], capture_output=True, check=False, timeout=100
    )
    assert done.stdout, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def day() -> Any:
    return simulated(3)


def test_every_task_of_a_fleet_whose_hosts_die_ends_once_and_within_every_limit(day: Any) -> None:
    assert day["broken"] == []
    assert min(day["seen"][kind] for kind in ("deaths", "sleeps", "rescued")) > 10
    assert set(day["seen"]["states"]) <= {"COMPLETED", "FAILED", "BLOCKED"}


def test_limits_and_budgets_were_reached_and_late_endings_refused(day: Any) -> None:
    assert set(day["seen"]["limits_reached"]) == {"instance", "profile", "model"}
    assert day["seen"]["budgets_spent"] > 3
    assert day["seen"]["shared_budget_spent"] > 3
    assert day["seen"]["stale"] > 3


def test_the_same_seed_gives_the_same_day_and_another_gives_another(day: Any) -> None:
    assert simulated(3)["seen"] == day["seen"]
    assert simulated(4)["seen"]["digest"] != day["seen"]["digest"]
