"""What is too old or too much, and how fast to take it away."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.retention import Kept, Pace, to_remove

KEPT = st.builds(
    Kept, name=st.text(max_size=3), since=st.floats(0, 100), bytes=st.integers(min_value=0, max_value=50)
)


@given(st.lists(KEPT), st.none() | st.floats(0, 100), st.none() | st.integers(0, 500))
def test_what_stays_is_young_and_small_enough_and_nothing_goes_needlessly(kept, cut, limit) -> None:
    gone = to_remove(kept, cut=cut, limit=limit)
    left = list(kept)
    for one in gone:
        left.remove(one)
    assert all(cut is None or one.since >= cut for one in left)
    assert limit is None or not left or sum(one.bytes for one in left) <= limit
    assert all(one.since <= other.since for one in gone for other in left)
    if gone and (cut is None or gone[-1].since >= cut):
        assert limit is not None
        assert sum(one.bytes for one in (*left, gone[-1])) > limit


@given(st.lists(st.floats(0, 10)))
def test_steps_shrink_when_they_take_long_and_grow_when_they_do_not(seconds) -> None:
    pace = Pace()
    for took in seconds:
        before = pace.size
        pace.took(took)
        assert pace.least <= pace.size <= pace.most
        assert took <= pace.target or pace.size <= before
        assert pace.rest(took) >= 9 * took * 0.999
