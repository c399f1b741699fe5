"""Ids of tasks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.commands.ids import ALPHABET, EPOCH, LENGTH, fragment, new_id
from orchestrator.domain.errors import InvalidInput

MOMENTS = st.floats(min_value=EPOCH, max_value=EPOCH + 34 * 365 * 86_400)
CHANCE = st.integers(min_value=0, max_value=2**40 - 1)


@given(MOMENTS, CHANCE)
def test_an_id_is_sixteen_characters_that_cannot_be_misread(now: float, random: int) -> None:
    made = new_id(now, random)
    assert len(made) == LENGTH
    assert set(made) <= set(ALPHABET)
    assert not set("ilou") & set(made)


@given(MOMENTS, CHANCE, CHANCE)
def test_ids_sort_in_the_order_they_were_made(now: float, first: int, second: int) -> None:
    assert new_id(now, first) < new_id(now + 0.002, second)


@given(MOMENTS, CHANCE)
def test_the_whole_id_is_a_fragment_of_itself(now: float, random: int) -> None:
    made = new_id(now, random)
    assert fragment(made) == made
    assert fragment(f" {made.upper()} ") == made


def test_look_alikes_are_forgiven() -> None:
    assert fragment("OIL5") == "0115"


@pytest.mark.parametrize(
    "text", ["", "abc", "../../etc/passwd", "a/b/c", "0123456789abcdefg", "abcu", "ab%d"]
)
def test_what_cannot_be_an_id_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match="depends_on must be the id of a task") as caught:
        fragment(text, field="depends_on")
    assert caught.value.field == "depends_on"
