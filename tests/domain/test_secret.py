"""References to secrets: filled in, missing, and taken out of whatever is shown."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.mcp import McpServer
from orchestrator.domain.outcome import Completed, ServerMissing
from orchestrator.domain.secret import (
    HIDDEN,
    Mask,
    SecretMissing,
    beginning,
    ending,
    literals,
    mask_of,
    missing,
    needed,
    references,
    resolved,
)

SERVER = McpServer(
    name="linter",
    transport="stdio",
    command="x",
    env={"A": "${ONE}", "B": "plain", "C": "${TWO}-${ONE}"},
    headers={"H": "Bearer ${THREE}"},
)
SECRETS = {"ONE": "first-value", "TWO": "second-value", "THREE": "third-value", "FOUR": "fourth-value"}


def test_every_reference_is_filled_in() -> None:
    found = resolved(SERVER, SECRETS)
    assert found.env == {"A": "first-value", "B": "plain", "C": "second-value-first-value"}
    assert found.headers == {"H": "Bearer third-value"}
    assert references(SERVER) == ("ONE", "TWO", "THREE")
    assert literals(SERVER) == ("plain",)


def test_a_value_is_taken_as_it_is_even_if_it_looks_like_a_reference() -> None:
    found = resolved(SERVER, {**SECRETS, "ONE": r"${TWO}\1"})
    assert found.env["A"] == r"${TWO}\1"


def test_a_missing_secret_is_named_with_its_server_and_place() -> None:
    known = {name: value for name, value in SECRETS.items() if name != "THREE"}
    with pytest.raises(SecretMissing, match=r"MCP server linter: headers refers to \$\{THREE\}"):
        resolved(SERVER, known)
    assert missing(SERVER, SECRETS) is None


def test_an_attempt_needs_what_is_named_and_referred_to_and_no_more() -> None:
    assert needed([SERVER], SECRETS, ["FOUR", "FIVE"]).keys() == {"ONE", "TWO", "THREE", "FOUR"}
    assert needed([], SECRETS, ["FOUR"]) == {"FOUR": "fourth-value"}


def test_a_mask_goes_through_records_lists_and_mappings() -> None:
    mask = mask_of([SERVER], SECRETS, ["FOUR"])

    @dataclass(frozen=True)
    class Report:
        outcome: Any
        lines: tuple[str, ...]
        numbers: dict[str, Any]

    found = mask.value(
        Report(
            outcome=ServerMissing(message="no first-value", servers=("second-value",)),
            lines=("a", "fourth-value!"),
            numbers={"third-value": [1, 2.5, None, "third-value"]},
        )
    )
    assert found.outcome == ServerMissing(message=f"no {HIDDEN}", servers=(HIDDEN,))
    assert found.lines == ("a", f"{HIDDEN}!")
    assert found.numbers == {HIDDEN: [1, 2.5, None, HIDDEN]}


def test_a_secret_that_begins_another_hides_all_of_it() -> None:
    assert Mask(["secret-value", "secret-value-and-more"]).text("x secret-value-and-more") == f"x {HIDDEN}"


def test_what_is_too_short_to_be_a_secret_is_left_alone() -> None:
    same = Completed(answer="true or false")
    assert Mask(["true", ""]).value(same) is same


@given(st.lists(st.text(min_size=6, max_size=12), min_size=1, max_size=4), st.text(), st.text())
def test_no_text_keeps_a_secret(values: list[str], before: str, after: str) -> None:
    mask = Mask(values)
    for value in values:
        shown = mask.text(before + value + after)
        # What is left beside the marks holds none of them; a mark in a secret could only make that stricter.
        assert not any(secret in part for secret in values for part in shown.split(HIDDEN))


@given(st.text(" \nab", max_size=20), st.text(" \nab", max_size=20), st.integers(0, 30))
def test_a_text_is_cut_so_that_no_part_of_a_secret_is_left(before: str, after: str, most: int) -> None:
    """Half of one is what no mask would recognise."""
    secret = "S3CRET"
    for cut in (beginning, ending):
        kept = cut(f"{before}{secret}{after}", most)
        assert len(kept) <= most
        assert kept in f"{before}{secret}{after}"
        assert not set(kept.replace(secret, "")) & set(secret)
    assert beginning(before, 20) == ending(before, 20) == before
