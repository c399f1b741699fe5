import json
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.harness.process.frame import Framer, NotJson, Oversized, Truncated, parse

LINES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.dictionaries(st.text(max_size=5), st.text(max_size=20)).map(
            lambda value: json.dumps(value, ensure_ascii=False).encode()
        ),
        st.sampled_from(
            [b"", b" ", b"\r", b"{}", b"[]", b'{"a":1}\r', "häß€😀".encode(), b"\xff\xfe", b"{" * 50]
        ),
    ),
    max_size=8,
).map(b"\n".join)


def framed(chunks: list[bytes], limit: int = 64) -> list[object]:
    framer = Framer(limit=limit)
    return [item for chunk in chunks for item in framer.feed(chunk)] + framer.finish()


@given(data=LINES, cuts=st.lists(st.integers(min_value=0, max_value=400), max_size=12))
@example(data="€\n😀".encode(), cuts=[1, 2, 5, 6])
@example(data=b"x" * 65 + b"\n{}\n", cuts=[64, 65, 66])
def test_any_chunking_gives_the_same_items(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[a:b] for a, b in pairwise(places)]
    assert framed(chunks) == framed([data])
    assert framed([data[n : n + 1] for n in range(len(data))]) == framed([data])


@given(values=st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), max_size=5))
def test_what_was_said_is_what_is_heard(values: list[dict[str, object]]) -> None:
    data = b"".join(
        json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n" for value in values
    )
    assert framed([data], limit=1 << 20) == [
        json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")) for value in values
    ]


@given(data=st.binary(max_size=300))
def test_no_input_raises_and_every_text_can_be_stored(data: bytes) -> None:
    for item in framed([data]):
        json.dumps(item if isinstance(item, dict) else str(item), ensure_ascii=False).encode("utf-8")


def test_a_line_beyond_the_limit_is_counted_and_the_next_one_is_delivered() -> None:
    assert framed([b"x" * 65 + b"\n", b'{"a":1}\n']) == [Oversized(bytes=65), {"a": 1}]


def test_a_line_as_long_as_the_limit_is_delivered() -> None:
    text = b'{"a":"' + b"x" * 56 + b'"}'
    assert len(text) == 64
    assert framed([text + b"\n"]) == [{"a": "x" * 56}]


def test_an_endless_line_takes_no_memory() -> None:
    framer = Framer(limit=100)
    for _ in range(1000):
        assert framer.feed(b"y" * 50) == []
    assert framer._parts == []
    assert framer.finish() == [Oversized(bytes=50_000)]


def test_what_follows_the_last_line_break_is_reported() -> None:
    assert framed([b'{"a":1}\n{"type":"assis']) == [{"a": 1}, Truncated(text='{"type":"assis')]
    assert framed([b'{"a":1}\n  \n']) == [{"a": 1}]


def test_a_line_that_is_no_object_is_kept_as_text() -> None:
    for line in (b"warning: x", b"[1]", b"1", b'"a"', b'{"a":1} {"b":2}', b"{" * 100_000, b"[" * 100_000):
        assert parse(line) == NotJson(text=line.decode())


def test_white_space_and_a_byte_order_mark_in_front_do_no_harm() -> None:
    assert parse(b'  {"a":1} \r') == {"a": 1}
    assert parse(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


def test_invalid_utf_8_becomes_replacement_characters() -> None:
    assert parse(b'{"a":"\xff"}') == {"a": "\ufffd"}


def test_a_lone_surrogate_is_replaced_and_a_pair_is_a_character() -> None:
    assert parse(rb'{"a":["\ud83d\ude00"]}') == {"a": ["😀"]}
    lone = parse(rb'{"\uD83D":{"b":["x\udc00"]}}')
    assert json.dumps(lone, ensure_ascii=False).encode("utf-8")
    assert "\ufffd" in json.dumps(lone, ensure_ascii=False)


def test_a_number_too_long_for_python_is_kept_as_text() -> None:
    line = b'{"a":' + b"9" * 5000 + b"}"
    assert parse(line) == NotJson(text=line.decode())
