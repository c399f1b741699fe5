"""Documents of servers as people write them survive every edit: only lines of what was edited differ."""

from dataclasses import fields, replace
from difflib import unified_diff
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.mcp import McpServer
from orchestrator.vault.server_document import ParsedServer, parse
from orchestrator.vault.server_render import edit

SPACE = st.sampled_from(["", " ", "   "])
COMMENT = st.sampled_from(["", "  # why", "   # it's: odd"])
BETWEEN = st.sampled_from(["", "\n", "# by hand\n", "# env: no\n\n"])
BODY = st.sampled_from(["", "\n", "# Notes\n\ncommand: of the body  \n---\nenv: {A: b}\n", "last line"])
TEXTS = st.sampled_from(["npx", "'it''s: odd'", '"a # b"', '"t\\u0041b"', "/opt/my server"])
KEYS = ("A", "LONG_ONE", "'quoted'")

STDIO: dict[str, tuple[Any, ...]] = {
    "description": ("new: one", ""),
    "command": ("other # thing",),
    "args": (("-x",), ("-y", "two words", "# no"), ()),
    "env": ({"A": "changed: 1"}, {"A": "${A}", "NEW": "yes"}, {}),
}
HTTP: dict[str, tuple[Any, ...]] = {
    "description": ("new: one", ""),
    "url": ("https://other.example/mcp?a=b",),
    "headers": ({"A": "Bearer ${A}"}, {"NEW": "x"}, {}),
}


@st.composite
def lists(draw: st.DrawFn, key: str) -> str:
    items = draw(st.lists(TEXTS, min_size=1, max_size=3))
    if draw(st.booleans()):
        return f"{key}:{draw(SPACE)} [ {' ,  '.join(items)} ]{draw(COMMENT)}\n"
    indent = draw(SPACE)
    lines = [f"{indent}-  {item}{draw(COMMENT)}\n" for item in items]
    return f"{key}:{draw(COMMENT)}\n{draw(BETWEEN)}{''.join(lines)}"


@st.composite
def mappings(draw: st.DrawFn, key: str) -> str:
    names = draw(st.lists(st.sampled_from(KEYS), min_size=1, unique=True))
    if draw(st.booleans()):
        return f"{key}: {{ {', '.join(f'{name}: {draw(TEXTS)}' for name in names)} }}{draw(COMMENT)}\n"
    indent = " " + draw(SPACE)
    lines = [f"{indent}{name}:{draw(SPACE)} {draw(TEXTS)}{draw(COMMENT)}\n" for name in names]
    return f"{key}:\n{''.join(lines)}"


@st.composite
def documents(draw: st.DrawFn, transport: str) -> bytes:
    address = f"https://example.org/mcp{draw(COMMENT)}"
    told = "command" if transport == "stdio" else "url"
    parts = {
        "name": draw(st.sampled_from(["", "name:   x # so\n"])),
        "description": draw(
            st.sampled_from(["", "description: It's here\n", "description: >\n  folded\n  text\n"])
        ),
        "transport": draw(st.sampled_from(["", f"transport: {transport.upper()} # so\n"])),
        told: f"{told}: {draw(TEXTS) if told == 'command' else address}\n",
        "args": draw(st.just("") | lists("args")) if told == "command" else "",
        "env": draw(st.just("") | mappings("env" if told == "command" else "headers")),
        "other": draw(st.sampled_from(["", "team:\n  - a   # kept\n  - b: |\n      env: x\n"])),
    }
    if transport == "http":
        parts["transport"] = "transport: http\n"
    chosen = draw(st.permutations(sorted(part for part in parts.values() if part)))
    text = "---\n" + "".join(draw(BETWEEN) + part for part in chosen) + "---\n" + draw(BODY)
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode()


def read(data: bytes) -> ParsedServer:
    result = parse(data, name="x")
    assert isinstance(result, ParsedServer), (data.decode(), result.errors)
    return result


def test_every_field_is_tried() -> None:
    own = {"name", "project_id", "transport"}
    assert STDIO.keys() | HTTP.keys() | own == {field.name for field in fields(McpServer)}


@settings(max_examples=60, deadline=None)
@given(documents("stdio"))
def test_only_lines_of_the_field_differ_in_one_that_is_started(data: bytes) -> None:
    _edited(data, STDIO)


@settings(max_examples=40, deadline=None)
@given(documents("http"))
def test_only_lines_of_the_field_differ_in_one_that_is_reached(data: bytes) -> None:
    _edited(data, HTTP)


def _edited(data: bytes, changes: dict[str, tuple[Any, ...]]) -> None:
    parsed = read(data)
    for field, values in changes.items():
        for value in values:
            wanted = replace(parsed.server, **{field: value})
            after = edit(parsed, wanted)
            assert read(after).server == wanted
            if wanted == parsed.server:
                assert after == data
            else:
                _others_are_equal(data, after, field)


def _others_are_equal(data: bytes, after: bytes, field: str) -> None:
    """Every line that is gone or new is one of the field's own entry."""
    before, now = (read(one).text.splitlines(keepends=True) for one in (data, after))
    gone = [line[1:] for line in unified_diff(before, now, n=0) if line[0] == "-" and line[:3] != "---"]
    new = [line[1:] for line in unified_diff(before, now, n=0) if line[0] == "+" and line[:3] != "+++"]
    assert after.startswith(b"\xef\xbb\xbf") == data.startswith(b"\xef\xbb\xbf")
    assert set(gone) <= set(_entry(before, field))
    assert set(new) <= set(_entry(now, field))


def _entry(lines: list[str], field: str) -> list[str]:
    """The lines of a key of the front matter: its own, and those below it up to the next key."""
    found: list[str] = []
    inside = False
    for line in lines[1:]:
        if line.strip() == "---":
            break
        if not line.startswith((" ", "-", "#")) and line.strip():
            inside = line.startswith(f"{field}:")
        if inside:
            found.append(line)
    return found
