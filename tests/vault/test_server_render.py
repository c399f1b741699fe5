"""Server documents written: new ones, and those of people with only what changes changed."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.mcp import McpServer
from orchestrator.vault.server_document import ParsedServer, parse
from orchestrator.vault.server_render import NotWritable, edit, render

BY_HAND = """\
---
# Ask Ada before you change this.
name:   linter
transport: stdio      # started here
description: Lints the code


command: npx
args:
  # quietly
  - -y
  - "eslint-mcp"   # pinned below
  - --level=3
env:
    LEVEL: '3'
    # from the vault of secrets
    TOKEN: ${LINT_TOKEN}   # never the value
    EMPTY: ""
team: tools
---
# Linter

Notes with  odd   spacing,\ttabs and trailing blanks:   \n
---
not: front matter
"""

TEXT = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
    .map(str.strip)
    .filter(bool)
)
VALUE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)
ENV = st.dictionaries(NAMES, VALUE, max_size=4)
STARTED = st.builds(
    McpServer,
    name=st.just("linter"),
    transport=st.just("stdio"),
    description=st.just("") | TEXT,
    command=TEXT,
    args=st.lists(VALUE, max_size=4).map(tuple),
    env=ENV,
)
REMOTE = st.builds(
    McpServer,
    name=st.just("linter"),
    transport=st.just("http"),
    description=st.just("") | TEXT,
    url=st.sampled_from(["https://example.org/mcp", "http://127.0.0.1:80/x?y=z"]),
    headers=ENV,
)


def read(data: bytes) -> ParsedServer:
    result = parse(data, name="linter")
    assert isinstance(result, ParsedServer), result.errors
    return result


def changed(text: str, **fields: Any) -> tuple[list[str], list[str]]:
    """The lines that an edit takes out of the document, and those that it puts in."""
    current = read(text.encode())
    after = edit(current, replace(current.server, **fields)).decode()
    old, new = text.splitlines(keepends=True), after.splitlines(keepends=True)
    assert read(after.encode()).server == replace(current.server, **fields)
    return [line for line in old if line not in new], [line for line in new if line not in old]


@given(STARTED | REMOTE)
def test_a_new_document_says_the_server(server: McpServer) -> None:
    assert read(render(server)).server == server


@settings(max_examples=300)
@given(STARTED | REMOTE, STARTED | REMOTE)
def test_any_document_can_be_edited_into_any_server(before: McpServer, after: McpServer) -> None:
    document = render(before, "Notes.")
    edited = read(edit(read(document), after))
    assert edited.server == after
    assert edited.text[edited.front.body :] == "\nNotes.\n"


@given(STARTED | REMOTE)
def test_a_document_of_somebodys_hand_keeps_its_body_and_other_keys(after: McpServer) -> None:
    current = read(BY_HAND.encode())
    edited = read(edit(current, after))
    assert edited.server == after
    assert edited.text[edited.front.body :] == current.text[current.front.body :]
    assert edited.front.values["team"] == "tools"
    assert "# Ask Ada before you change this.\n" in edited.text


def test_nothing_to_change_changes_nothing() -> None:
    current = read(BY_HAND.encode())
    assert edit(current, current.server) == BY_HAND.encode()


@pytest.mark.parametrize(
    ("fields", "gone", "new"),
    [
        ({"description": "Finds faults"}, ["description: Lints the code\n"], ["description: Finds faults\n"]),
        ({"description": ""}, ["description: Lints the code\n"], []),
        ({"command": "/opt/x y"}, ["command: npx\n"], ['command: "/opt/x y"\n']),
        ({"args": ("-y", "eslint-mcp", "--level=4")}, ["  - --level=3\n"], ['  - "--level=4"\n']),
        ({"args": ("-y", "eslint-mcp")}, ["  - --level=3\n"], []),
        (
            {"env": {"LEVEL": "4", "TOKEN": "${LINT_TOKEN}", "EMPTY": ""}},
            ["    LEVEL: '3'\n"],
            ['    LEVEL: "4"\n'],
        ),
        (
            {"env": {"LEVEL": "3", "TOKEN": "${LINT_TOKEN}", "EMPTY": "", "MORE": "x: y"}},
            [],
            ['    MORE: "x: y"\n'],
        ),
        ({"env": {"LEVEL": "3", "TOKEN": "${LINT_TOKEN}"}}, ['    EMPTY: ""\n'], []),
    ],
)
def test_only_the_lines_that_say_it_are_changed(
    fields: dict[str, Any], gone: list[str], new: list[str]
) -> None:
    assert changed(BY_HAND, **fields) == (gone, new)


def test_line_ends_and_the_byte_order_mark_are_kept() -> None:
    data = b"\xef\xbb\xbf" + BY_HAND.replace("\n", "\r\n").encode()
    current = read(data)
    after = edit(current, replace(current.server, description="New", env={"LEVEL": "1"}))
    assert after.startswith(b"\xef\xbb\xbf---\r\n")
    assert b"description: New\r\n" in after
    assert after.count(b"\n") == after.count(b"\r\n")


def test_the_notes_are_replaced_when_that_is_asked_for() -> None:
    current = read(BY_HAND.encode())
    after = edit(current, current.server, notes="Other\nwords.")
    assert after.endswith(b"team: tools\n---\n\nOther\nwords.\n")
    assert edit(current, current.server, notes="").endswith(b"team: tools\n---\n")


def test_a_flow_mapping_is_written_anew() -> None:
    gone, new = changed("---\ncommand: x\nenv: {A: b, C: d}\n---\n", env={"A": "c"})
    assert (gone, new) == (["env: {A: b, C: d}\n"], ["env:\n", '  A: "c"\n'])


@pytest.mark.parametrize("fields", [{"command": ""}, {"env": {"A": "\x00"}}, {"env": {"not a name": "x"}}])
def test_what_no_document_can_say_is_refused(fields: dict[str, Any]) -> None:
    server = McpServer(**{"name": "linter", "transport": "stdio", "command": "x", **fields})
    with pytest.raises(NotWritable):
        render(server)
