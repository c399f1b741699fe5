"""When schedules occur: calendars, time zones, and the nights on which clocks change."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import occurrences
from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.schedule import ScheduleKind, Timing

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "UTC",
)


def cron(expression: str, timezone: str = "Europe/Berlin", **more: float) -> Timing:
    return Timing(kind=ScheduleKind.CRON, expression=expression, timezone=timezone, **more)


def shown(timing: Timing, after: str, number: int) -> list[str]:
    """The next occurrences after a local time, as the clocks show them."""
    here = ZoneInfo(timing.timezone)
    since = datetime.fromisoformat(after).replace(tzinfo=here).timestamp()
    times = islice(occurrences.following(timing, since), number)
    return [datetime.fromtimestamp(at, here).strftime("%d %H:%M %Z") for at in times]


def test_a_time_that_spring_leaves_out_occurs_once_an_hour_later() -> None:
    assert shown(cron("30 2 * * *"), "2027-03-27T12:00", 3) == [
        "28 03:30 CEST",
        "29 02:30 CEST",
        "30 02:30 CEST",
    ]


def test_a_time_that_autumn_brings_twice_occurs_once() -> None:
    assert shown(cron("30 2 * * *"), "2027-10-30T12:00", 2) == ["31 02:30 CEST", "01 02:30 CET"]


def test_what_comes_every_hour_goes_by_the_hours_that_pass() -> None:
    assert shown(cron("0 * * * *"), "2027-10-31T01:30", 3) == [
        "31 02:00 CEST",
        "31 02:00 CET",
        "31 03:00 CET",
    ]
    assert shown(cron("0 * * * *"), "2027-03-28T00:30", 3) == [
        "28 01:00 CET",
        "28 03:00 CEST",
        "28 04:00 CEST",
    ]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("change", ["2027-03-28", "2027-10-31", "2027-04-04", "2027-02-07"])
def test_a_daily_time_occurs_once_for_every_day_whatever_clocks_do(zone: str, change: str) -> None:
    here = ZoneInfo(zone)
    begin = datetime.fromisoformat(change).replace(tzinfo=here) - timedelta(days=3)
    for at in ("0 0", "15 1", "30 2", "0 3", "59 23"):
        times = list(islice(occurrences.following(cron(f"{at} * * *", zone), begin.timestamp() - 1), 6))
        days = [datetime.fromtimestamp(time, here).date() for time in times]
        assert days == [begin.date() + timedelta(days=n) for n in range(6)]


def test_what_is_put_off_by_half_an_hour_keeps_its_place_among_the_others() -> None:
    """Lord Howe Island goes from 02:00 to 02:30."""
    howe = cron("20,35 2 * * *", "Australia/Lord_Howe")
    assert shown(howe, "2027-10-02T12:00", 3) == ["03 02:35 +11", "03 02:50 +11", "04 02:20 +11"]


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(
        ["30 2 * * *", "*/20 * * * *", "0 */3 * * *", "15 1-4 * * sun", "0 0 1 * *", "5 2,3 * * *"]
    ),
    st.sampled_from(ZONES),
    st.floats(1_790_000_000, 1_830_000_000),
)
def test_occurrences_only_depend_on_the_time_they_follow(expression: str, zone: str, after: float) -> None:
    timing = cron(expression, zone)
    times = list(islice(occurrences.following(timing, after), 12))
    assert times[0] > after
    assert all(a < b for a, b in pairwise(times))
    for place, at in enumerate(times[:-1]):
        assert next(occurrences.following(timing, at)) == times[place + 1]
        assert next(occurrences.following(timing, times[place + 1] - 0.5)) == times[place + 1]


@settings(deadline=None)
@given(st.integers(1, 200_000), st.floats(1_790_000_000, 1_830_000_000), st.sampled_from(ZONES))
def test_intervals_are_real_seconds_across_every_change_of_clocks(
    seconds: int, after: float, zone: str
) -> None:
    begin = 1_790_000_000.0
    timing = Timing(kind=ScheduleKind.INTERVAL, expression=str(seconds), timezone=zone, start_at=begin)
    times = list(islice(occurrences.following(timing, after), 10))
    assert after < times[0] <= after + seconds
    assert [b - a for a, b in pairwise(times)] == [seconds] * 9
    assert all((at - begin) % seconds == 0 for at in times)


def test_a_day_s_interval_wanders_on_the_clock_and_a_daily_time_does_not() -> None:
    start = datetime(2027, 3, 27, 9, tzinfo=BERLIN).timestamp()
    daily = Timing(kind=ScheduleKind.INTERVAL, expression="86400", timezone="Europe/Berlin", start_at=start)
    assert shown(daily, "2027-03-27T08:00", 2) == ["27 09:00 CET", "28 10:00 CEST"]
    assert shown(cron("0 9 * * *"), "2027-03-27T08:00", 2) == ["27 09:00 CET", "28 09:00 CEST"]


def test_once_is_of_the_time_zone_unless_it_says_otherwise() -> None:
    local = Timing(kind=ScheduleKind.ONCE, expression="2031-05-01T08:00", timezone="Europe/Berlin")
    offset = Timing(kind=ScheduleKind.ONCE, expression="2031-05-01T08:00+00:00", timezone="Europe/Berlin")
    noon = datetime(2031, 5, 1, tzinfo=UTC).timestamp()
    assert list(occurrences.following(local, 0)) == [noon + 6 * 3600]
    assert list(occurrences.following(offset, 0)) == [noon + 8 * 3600]
    assert list(occurrences.following(local, noon + 6 * 3600)) == []


def test_nothing_occurs_before_the_start_or_after_the_end() -> None:
    begin, end = (datetime(2027, 1, day, 9, tzinfo=BERLIN).timestamp() for day in (3, 5))
    times = list(occurrences.following(cron("0 9 * * *", start_at=begin, end_at=end), 0.0))
    assert times == [begin, begin + 86_400, end]


def test_weekdays_are_counted_as_crontab_counts_them() -> None:
    monday_to_friday = shown(cron("0 9 * * 1-5"), "2027-06-05T00:00", 5)
    assert monday_to_friday == shown(cron("0 9 * * mon-fri"), "2027-06-05T00:00", 5)
    assert monday_to_friday[0].startswith("07 ")  # a Monday
    for sunday in ("0", "7", "sun", "SUN"):
        assert shown(cron(f"0 9 * * {sunday}"), "2027-06-05T00:00", 1) == ["06 09:00 CEST"]
    assert shown(cron("0 9 * * sat-mon"), "2027-06-05T00:00", 3) == [
        "05 09:00 CEST",
        "06 09:00 CEST",
        "07 09:00 CEST",
    ]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("61 * * * *", "'61' is no minute"),
        ("* 25 * * *", "'25' is no hour"),
        ("* * 0 * *", "'0' is no day of the month"),
        ("* * * 13 *", "'13' is no month"),
        ("* * * jan/2 *", "'jan/2' is no month"),
        ("* * * * 8", "'8' is no weekday"),
        ("* * * * mon-", "'mon-' is no weekday"),
        ("*/0 * * * *", "'*/0' is no minute"),
        ("1,,2 * * * *", "'1,,2' is no minute"),
        ("* * * *", "five fields"),
        ("", "five fields"),
    ],
)
def test_a_cron_field_that_is_wrong_is_named(expression: str, said: str) -> None:
    with pytest.raises(InvalidInput, match="cron") as caught:
        occurrences.check(cron(expression))
    assert said in str(caught.value)
    assert caught.value.field == "cron"


@pytest.mark.parametrize("seconds", ["0", "0.5", "-60", "1.5", "nan", "1e99", "soon"])
def test_an_interval_is_whole_seconds(seconds: str) -> None:
    with pytest.raises(InvalidInput, match="at least 1") as caught:
        occurrences.check(Timing(kind=ScheduleKind.INTERVAL, expression=seconds))
    assert caught.value.field == "interval"


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Europe/Berln", "did you mean Europe/Berlin"),
        ("berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("../../etc/passwd", "such as Europe/Berlin"),
    ],
)
def test_an_unknown_time_zone_is_answered_with_the_nearest(zone: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        occurrences.check(cron("0 9 * * *", zone))
    assert said in str(caught.value)
    assert caught.value.field == "timezone"


def test_what_never_comes_has_no_occurrences() -> None:
    assert list(occurrences.following(cron("0 0 30 2 *"), 1_800_000_000.0)) == []
