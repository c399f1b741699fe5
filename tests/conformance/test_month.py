"""Some days of load in virtual time, with short windows: the long form is `make month`."""

import importlib
from pathlib import Path

import pytest

from orchestrator.domain.retention import Keep

BENCH = Path(__file__).parents[2] / "bench"
WINDOWS = Keep(
    archive_after_days=0.1,
    archived_days=0.8,
    attempts_days=0.6,
    messages_days=0.3,
    events_days=0.4,
    audit_days=0.5,
    tokens_days=0.2,
)


def test_rows_and_bytes_grow_up_to_the_windows_and_not_beyond(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    month = importlib.import_module("month")
    days = list(month.simulate(database_url, days=6, per_hour=2, messages=3, keep=WINDOWS, every=6))
    assert month.still_growing(days) == []
    last = days[-1].rows
    assert all(last.values())
    assert last["tasks"] < 24
    assert last["attempt_messages"] < 2 * 3 * 24 * 0.8
