"""The part of YAML that is accepted."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.vault.guarded_yaml import Bare, Unreadable, load

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [*{chr(97 + n)},*{chr(97 + n)},*{chr(97 + n)}]}}\n"
    for n in range(12)
)


def test_values_keep_what_was_written() -> None:
    text = "name: 2024\nflag: yes\nquoted: '2024'\nnothing: ~\nempty:\nlist: [a, 1]\nmap: {x: 1.5}\n"
    assert load(text) == {
        "name": Bare("number", "2024"),
        "flag": Bare("boolean", "yes"),
        "quoted": "2024",
        "nothing": None,
        "empty": None,
        "list": ["a", Bare("number", "1")],
        "map": {"x": Bare("number", "1.5")},
    }


def test_an_empty_document_is_nothing() -> None:
    assert load("") is None
    assert load("# only a comment\n") is None


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("a: 1\nb: *a", "aliases", 2),
        ("a: &x 1", "anchors", 1),
        ("a: &x [1]", "anchors", 1),
        ("x: 1\n<<: {a: 1}", "merge keys", 2),
        ("a: !!python/object/apply:os.system [id]", "tags", 1),
        ("a: !x 1", "tags", 1),
        ("a: 1\na: 2", "the key 'a' stands there twice", 2),
        ("? [a]\n: 1", "a key must be text", 1),
        ("--- 1\n--- 2", "more than one YAML document", 2),
        ("a: " + "[" * 17, "nested deeper than 16 levels", 1),
        ("a: b: c", "mapping values are not allowed", 1),
        ("a: 1\n\tb: 2", "tab character", 2),
        ('a: "\\0"', "NUL", 1),
        ("a: \x07", "control characters", 1),
        ("x" * 70_000, "longer than", 1),
    ],
)
def test_what_is_refused_is_named_with_its_line(text: str, message: str, line: int) -> None:
    with pytest.raises(Unreadable) as caught:
        load(text)
    assert message in caught.value.message
    assert caught.value.line == line


def test_a_quoted_merge_key_is_text_like_any_other() -> None:
    assert load("'<<': 1") == {"<<": Bare("number", "1")}


@pytest.mark.parametrize(
    "text", [BOMB, "[" * 60_000, "- " * 30_000, "? " * 30_000, "a:\n" * 20_000, "{a: " * 16_000]
)
def test_a_bomb_is_refused_at_once(text: str) -> None:
    started = time.thread_time()
    with pytest.raises(Unreadable):
        load(text)
    assert time.thread_time() - started < 0.2


@given(st.text(max_size=300) | st.text(alphabet="ab:-?[]{}&*!<'\"|># \n", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Unreadable):
        load(text)
