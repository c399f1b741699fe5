"""Profiles to documents and back."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.domain.manifest import InstallManifest
from orchestrator.domain.profile import AgentProfile
from orchestrator.vault import json_edit
from orchestrator.vault.document import Parsed, parse
from orchestrator.vault.render import NotWritable, edit, render

LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=30)
LINE = LINE.filter(lambda text: text == text.strip() != "")
TOOLS = st.lists(st.sampled_from(["Read", "Bash", "create_task", "mcp__a__b"]), unique=True, max_size=3)
JSON_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=10)
PROFILES = st.builds(
    AgentProfile,
    id=st.just("x"),
    name=LINE,
    description=st.just("") | LINE,
    tags=st.lists(LINE, max_size=3).map(tuple),
    install=st.builds(InstallManifest, npm=st.just(()) | st.just(("eslint",)), pip=st.just(("ruff",))),
    harness=st.none() | st.sampled_from(["claude", "codex"]),
    model=st.none() | LINE,
    permission_mode=st.none() | st.sampled_from(["plan", "default"]),
    allowed_tools=st.none() | TOOLS.map(tuple),
    denied_tools=st.none() | TOOLS.filter(bool).map(tuple),
    mcp_servers=st.none() | st.just(()) | st.just(("linter", "git")),
    system_prompt_suffix=st.none()
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=80)
    | st.just("## Role\nA\n\n## Rules\n- b")
    | st.just("## Role\n```json\n{}\n```"),
    max_tokens_per_task=st.none() | st.integers(1, 10**9),
    max_turns=st.none() | st.integers(1, 500),
    max_budget_usd=st.none() | st.floats(0.01, 1000),
    timeout_seconds=st.none() | st.floats(1, 10**6),
    settings=st.none() | st.dictionaries(JSON_TEXT, st.integers() | JSON_TEXT, min_size=1, max_size=3),
)
DOCUMENT = """\
---
id: x
name: X          # a comment that goes with its line
description: |
  Two
  lines
tags:
- a
- b
other: kept
---

# Title

## Config
Why these.
```json
{
  "model":   "m",
  "max_turns": 3
}
```

## Notes
Mine.

## Role
Old role.

## Tools
```json
{"allowed": ["Read"]}
```
"""


def read(data: bytes) -> Parsed:
    result = parse(data, profile_id="x", overlay=True)
    assert isinstance(result, Parsed), result.errors
    return result


@settings(max_examples=300, deadline=None)
@given(PROFILES)
@example(AgentProfile(id="x", name="null"))
@example(AgentProfile(id="x", name="a: b", description="# no", system_prompt_suffix="``````\n## Tools\r\n"))
def test_a_new_document_says_exactly_what_the_profile_is(profile: AgentProfile) -> None:
    assert read(render(profile)).profile == profile


@settings(max_examples=300, deadline=None)
@given(PROFILES, PROFILES, st.booleans())
def test_an_edited_document_says_what_is_wanted(one: AgentProfile, other: AgentProfile, bom: bool) -> None:
    data = (b"\xef\xbb\xbf" if bom else b"") + render(one)
    assert read(edit(read(data), other)).profile == other


@pytest.mark.parametrize(
    "document", [DOCUMENT, DOCUMENT.replace("\n", "\r\n"), "\ufeff" + DOCUMENT, "## Role\nx"]
)
def test_an_edit_without_a_change_changes_no_byte(document: str) -> None:
    parsed = read(document.encode())
    assert edit(parsed, parsed.profile) == document.encode()


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        ({"model": "n"}, '"model":   "m"', '"model":   "n"'),
        ({"model": None}, '"model":   "m",\n  ', ""),
        ({"max_turns": None}, ',\n  "max_turns": 3', ""),
        ({"max_budget_usd": 1.5}, '"max_turns": 3', '"max_turns": 3,\n  "max_budget_usd": 1.5'),
        ({"name": "Y: z"}, "name: X          # a comment that goes with its line", 'name: "Y: z"'),
        ({"description": ""}, "description: |\n  Two\n  lines\n", ""),
        ({"tags": ("c",)}, "tags:\n- a\n- b\n", "tags: [c]\n"),
        ({"harness": "codex"}, "other: kept\n", "other: kept\nharness: codex\n"),
        ({"allowed_tools": ()}, '["Read"]', '"none"'),
        ({"denied_tools": ("Bash",)}, '["Read"]}', '["Read"], "denied": ["Bash"]}'),
        ({"system_prompt_suffix": "## Role\nNew."}, "Old role.", "New."),
        ({"system_prompt_suffix": None}, "## Role\nOld role.\n\n", ""),
    ],
    ids=str,
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_only_what_changes_is_changed(change: dict[str, Any], before: str, after: str, newline: str) -> None:
    assert DOCUMENT.count(before) == 1
    document = DOCUMENT.replace("\n", newline).encode()
    parsed = read(document)
    wanted = DOCUMENT.replace(before, after).replace("\n", newline).encode()
    assert edit(parsed, replace(parsed.profile, **change)) == wanted


def test_sections_that_are_missing_are_added_at_the_end() -> None:
    parsed = read(b"## Role\nx")
    wanted = replace(parsed.profile, mcp_servers=("linter",), name="N")
    assert edit(parsed, wanted) == (
        b'---\nname: N\n---\n\n## Role\nx\n\n## MCP Servers\n```json\n["linter"]\n```\n'
    )


def test_a_new_document_reads_as_a_person_would_write_it() -> None:
    profile = AgentProfile(
        id="x",
        name="Code Reviewer",
        description="Reads: nothing else",
        model="m",
        allowed_tools=("Read",),
        system_prompt_suffix="You review code.",
    )
    assert render(profile).decode() == (
        '---\nid: x\nname: Code Reviewer\ndescription: "Reads: nothing else"\n---\n\n# Code Reviewer\n\n'
        "## Role\n```prompt\nYou review code.\n```\n\n"
        '## Config\n```json\n{"model": "m"}\n```\n\n'
        '## Tools\n```json\n{"allowed": ["Read"]}\n```\n'
    )


@pytest.mark.parametrize(
    "profile",
    [
        AgentProfile(id="x", name=" padded "),
        AgentProfile(id="x", name="x", model="\x00"),
        AgentProfile(id="x", name="x", system_prompt_suffix="y" * 4001),
        AgentProfile(id="x", name="x", max_turns=-1),
        AgentProfile(id="x", name="x", harness="nobody"),
        AgentProfile(id="x", name="x", allowed_tools=("a,b",)),
    ],
    ids=lambda profile: str({f.name: getattr(profile, f.name) for f in fields(profile)})[:40],
)
def test_what_a_document_cannot_say_is_refused(profile: AgentProfile) -> None:
    with pytest.raises(NotWritable):
        render(profile)


OBJECTS = st.dictionaries(
    JSON_TEXT, st.integers() | JSON_TEXT | st.lists(st.booleans(), max_size=2), max_size=4
)


@given(OBJECTS, JSON_TEXT, st.integers(), st.sampled_from([None, 1, 2]))
def test_setting_and_removing_a_member_is_what_it_is_on_the_value(
    value: dict[str, Any], key: str, new: int, indent: int | None
) -> None:
    text = json.dumps(value, indent=indent)
    assert json.loads(json_edit.with_member(text, key, new)) == {**value, key: new}
    rest = {name: item for name, item in value.items() if name != key}
    assert json.loads(json_edit.without_member(text, key)) == rest


def test_the_mark_of_an_optional_server_is_written_and_goes_with_its_name() -> None:
    profile = AgentProfile(id="a", name="a", mcp_servers=("x", "y"), optional_servers=("y",))
    document = render(profile)
    assert b'["x", {"name": "y", "optional": true}]' in document
    parsed = parse(document, profile_id="a")
    assert isinstance(parsed, Parsed)
    assert parsed.profile == profile
    shorter = parse(edit(parsed, replace(profile, mcp_servers=("x",))), profile_id="a")
    assert isinstance(shorter, Parsed)
    assert (shorter.profile.mcp_servers, shorter.profile.optional_servers) == (("x",), None)
