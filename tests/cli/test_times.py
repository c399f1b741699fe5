"""Times on the command line."""

from datetime import UTC, datetime

import pytest

from orchestrator.cli.times import ago, duration, moment
from orchestrator.domain.errors import InvalidInput

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text, "timeout") == seconds


def test_moments_are_relative_or_iso_8601() -> None:
    assert moment("+15m", "run_at", now=NOW) == NOW + 900
    expected = datetime(2031, 5, 1, 8, tzinfo=UTC).timestamp()
    assert moment("2031-05-01T08:00:00+00:00", "run_at", now=NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "+", "+5x", "2031-13-01", "99999-01-01"])
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        moment(text, "run_at", now=NOW)
    assert caught.value.field == "run_at"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0s"), (99, "99s"), (100, "2m"), (7200, "2h"), (172800, "2d"), (-5, "0s")]
)
def test_how_long_ago_is_one_unit(seconds: float, shown: str) -> None:
    assert ago(NOW - seconds, now=NOW) == shown


def test_never_is_a_dash() -> None:
    assert ago(None, now=NOW) == "-"
