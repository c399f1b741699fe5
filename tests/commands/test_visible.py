"""Text of agents on a screen."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.commands.visible import one_line, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("a\rb", "a␍b"),
        ("a\r\nb", "a\nb"),
        ("del\x7f", "del␡"),
        ("\x9b31m", "⟨U+009B⟩31m"),
        ("user\u202egpj.exe", "user⟨U+202E⟩gpj.exe"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("\ufeffbom", "⟨U+FEFF⟩bom"),
        ("tag\U000e0041", "tag⟨U+E0041⟩"),
        ("filler\u3164", "filler⟨U+3164⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
        ("naïve 日本 ❤️\tok", "naïve 日本 ❤️\tok"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_becomes_a_mark(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_nothing_invisible_is_left(text: str) -> None:
    left = {c for c in visible(text) if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}}
    assert left <= {"\n", "\t"}


@given(st.text())
def test_what_was_made_visible_stays_as_it_is(text: str) -> None:
    assert visible(visible(text)) == visible(text)


@given(st.text(), st.integers(min_value=2, max_value=50))
def test_one_line_is_one_line_of_the_length_asked_for(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert "\n" not in line
    assert len(line) <= limit
