"""What is due of a schedule: pure decisions, whatever the times and however long nobody looked."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, pairwise, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.schedule import (
    FIRED_AT_ONCE,
    Missed,
    Schedule,
    ScheduleKind,
    decide,
    due_at,
    jitter,
    latest,
)

HOURLY = Schedule(
    id="hourly",
    project_id="acme",
    name="Hourly",
    kind=ScheduleKind.INTERVAL,
    expression="3600",
    created_at=0.0,
    updated_at=0.0,
    next_for=3600.0,
)
LIMIT = 5


def every(seconds: int):
    def following(after: float) -> Iterator[float]:
        return (float(seconds * n) for n in count(int(after // seconds) + 1))

    return following


def all_due(schedule: Schedule, now: float, seconds: int) -> list[float]:
    """Every occurrence that is due by now, found the slow way."""
    first = schedule.next_for or 0.0
    times = (first + seconds * n for n in count())
    return list(takewhile(lambda at: (due_at(schedule, at) or 0) <= now, times))


schedules = st.builds(
    lambda missed, seconds, grace, most, limit: (
        seconds,
        replace(
            HOURLY,
            missed=missed,
            grace_seconds=grace,
            jitter_seconds=most,
            missed_limit=limit,
            next_for=float(seconds),
        ),
    ),
    st.sampled_from(Missed),
    st.integers(1, 7200),
    st.floats(0, 300),
    st.floats(0, 600),
    st.integers(1, 20),
)


@given(schedules, st.floats(0, 20_000))
def test_every_due_occurrence_fires_or_is_dropped_and_none_does_both(made, now: float) -> None:
    seconds, schedule = made
    due = all_due(schedule, now, seconds)
    fired: list[float] = []
    dropped = 0
    more = False
    while schedule.next_for is not None and due and schedule.next_for <= due[-1]:
        decision = decide(schedule, now=now, following=every(seconds))
        assert len(decision.fire) <= FIRED_AT_ONCE
        fired += decision.fire
        if decision.dropped:
            dropped, more = dropped + decision.dropped.count, more or decision.dropped.more
        assert decision.next_for is not None
        assert decision.next_for > schedule.next_for, "it always moves on"
        schedule = replace(schedule, next_for=decision.next_for)
    assert fired == sorted(set(fired))
    assert set(fired) <= set(due)
    assert len(fired) + dropped <= len(due)
    if not more:
        assert len(fired) + dropped == len(due)
    assert not decide(schedule, now=now, following=every(seconds)).fire


@given(schedules, st.floats(0, 20_000))
def test_what_is_on_time_always_fires(made, now: float) -> None:
    seconds, schedule = made
    due = all_due(schedule, now, seconds)
    on_time = [at for at in due if now - (due_at(schedule, at) or 0) <= schedule.grace_seconds]
    fired: list[float] = []
    while schedule.next_for is not None and due and schedule.next_for <= due[-1]:
        decision = decide(schedule, now=now, following=every(seconds))
        fired += decision.fire
        schedule = replace(schedule, next_for=decision.next_for)
    assert set(on_time) <= set(fired)


@pytest.mark.parametrize(
    ("missed", "fired"),
    [
        (Missed.SKIP, ()),
        (Missed.ONCE, (10 * 3600.0,)),
        (Missed.ALL, tuple(n * 3600.0 for n in range(6, 11))),
    ],
)
def test_what_nobody_was_there_for_goes_by_the_policy(missed: Missed, fired: tuple[float, ...]) -> None:
    schedule = replace(HOURLY, missed=missed, missed_limit=LIMIT)
    decision = decide(schedule, now=10.5 * 3600, following=every(3600))
    assert decision.fire == fired
    assert decision.next_for == 11 * 3600.0
    assert decision.dropped is not None
    assert (decision.dropped.first, decision.dropped.more) == (3600.0, True)


def test_one_that_is_on_time_stands_for_those_that_were_missed() -> None:
    decision = decide(HOURLY, now=10 * 3600 + 5, following=every(3600))
    assert decision.fire == (10 * 3600.0,)
    assert decision.dropped is not None
    assert (decision.dropped.count, decision.dropped.last) == (9, 9 * 3600.0)


def test_a_schedule_that_is_not_due_stays_as_it_is() -> None:
    decision = decide(HOURLY, now=3599.0, following=every(3600))
    assert (decision.fire, decision.dropped, decision.next_for) == ((), None, 3600.0)
    assert decide(replace(HOURLY, next_for=None), now=1e9, following=every(3600)).next_for is None


def test_the_last_occurrence_leaves_nothing_to_come() -> None:
    decision = decide(HOURLY, now=3600.0, following=lambda after: iter(()))
    assert (decision.fire, decision.next_for) == ((3600.0,), None)


@given(st.text(min_size=1), st.floats(0, 4e9), st.floats(0, 86_400))
def test_jitter_is_the_same_whoever_computes_it(schedule_id: str, at: float, most: float) -> None:
    put_off = jitter(schedule_id, at, most)
    assert 0 <= put_off <= most
    assert put_off == jitter(schedule_id, at, most)


def test_jitter_differs_from_occurrence_to_occurrence() -> None:
    put_off = [jitter("nightly", 86_400.0 * day, 600) for day in range(50)]
    assert len(set(put_off)) == 50
    assert min(put_off) < 100 < 500 < max(put_off)


@given(st.integers(1, 100), st.integers(1, 5000), st.integers(1, 50))
def test_the_latest_are_the_last_of_all(seconds: int, elapsed: int, most: int) -> None:
    begin, end = float(seconds), float(seconds + elapsed)
    whole = [at for at in (begin + seconds * n for n in range(elapsed + 1)) if at <= end]
    found, more = latest(every(seconds), begin, end, most=most)
    assert found == whole[-most:]
    assert more == (len(whole) > most)


def test_looking_back_at_a_month_of_seconds_reads_a_few_of_them() -> None:
    asked: list[float] = []

    def following(after: float) -> Iterator[float]:
        for at in every(1)(after):
            asked.append(at)
            yield at

    found, more = latest(following, 0.0, 30 * 86_400.0, most=100)
    assert (len(found), more) == (100, True)
    assert len(asked) < 1000
    assert all(b - a == 1 for a, b in pairwise(found))
