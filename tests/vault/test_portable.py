"""Profiles as YAML and back."""

import json
from dataclasses import replace

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.manifest import InstallManifest
from orchestrator.domain.profile import AgentProfile
from orchestrator.vault.portable import dump, load

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=40)
LINE = TEXT.filter(lambda text: text == text.strip() != "")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
PROFILE = AgentProfile(
    id="reviewer",
    name="Code Reviewer",
    description="Read-only: review",
    model="claude-sonnet-4-5",
    allowed_tools=("Read", "Grep"),
    mcp_servers=("linter",),
    system_prompt_suffix="You review.\nBe kind.",
    max_budget_usd=1.0,
    install=InstallManifest(npm=("eslint-mcp",), commands=("npx",)),
)


def test_a_profile_is_written_as_people_read_it() -> None:
    assert dump(PROFILE) == (
        "# Agent Profile: Code Reviewer\n"
        "agent_profile:\n"
        "  id: reviewer\n"
        "  name: Code Reviewer\n"
        "  description: 'Read-only: review'\n"
        "  model: claude-sonnet-4-5\n"
        "  allowed_tools:\n  - Read\n  - Grep\n"
        "  mcp_servers:\n  - linter\n"
        "  system_prompt_suffix: |-\n    You review.\n    Be kind.\n"
        "  max_budget_usd: 1.0\n"
        "  install:\n    npm:\n    - eslint-mcp\n    commands:\n    - npx\n"
    )


@settings(max_examples=300, deadline=None)
@given(LINE, TEXT, st.dictionaries(TEXT, JSON, min_size=1, max_size=3), st.lists(LINE, max_size=3))
@example(
    "null",
    " a\n\n b \n",
    {"2024-01-01": 1e20, "": "yes", "x": {"y": [None, True, "1:30", "0o7"]}},
    ["1", "on"],
)
@example("\ufeff", "\u2028x\n\n", {"a": -0.0, "b": 10**30}, [])
def test_what_is_written_is_read_as_it_was(name: str, suffix: str, extra: dict, tags: list[str]) -> None:
    profile = replace(PROFILE, name=name, system_prompt_suffix=suffix, settings=extra, tags=tuple(tags))
    read = load(dump(profile))
    assert read.id == "reviewer"
    assert read.warnings == ()
    assert (read.fields["name"], read.fields["system_prompt_suffix"]) == (name, suffix)
    assert json.dumps(read.fields["settings"]) == json.dumps(extra)
    assert read.fields.get("tags", []) == tags
    assert yaml.safe_load(dump(profile))["agent_profile"]["name"] == name


def test_no_tools_at_all_is_another_thing_than_those_of_the_harness() -> None:
    assert load(dump(replace(PROFILE, allowed_tools=()))).fields["allowed_tools"] == "none"
    assert "allowed_tools" not in load(dump(replace(PROFILE, allowed_tools=None))).fields


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "YAML must contain an 'agent_profile' key"),
        ("agent_profiles: {}", "YAML must contain an 'agent_profile' key"),
        ("- agent_profile", "YAML must contain an 'agent_profile' key"),
        ("agent_profile: x", "'agent_profile' must be a mapping"),
        ("agent_profile: {name: [a]}", "name must be text"),
        ("agent_profile: [", "not valid YAML"),
        ("a: &x 1\nagent_profile: *x", "anchors .* are not accepted"),
        ("agent_profile: !!python/object:os.system {}", "tags .* are not accepted"),
        ("[" * 50, "nested deeper than 40 levels|not valid YAML"),
    ],
)
def test_what_is_no_profile_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load(text)


def test_unknown_keys_are_warned_about_and_words_stay_words() -> None:
    read = load("agent_profile: {id: 2024, name: no, tags: [1.0], modle: x, max_turns: 5}")
    assert (read.id, read.fields["name"], read.fields["tags"]) == ("2024", "no", ["1.0"])
    assert read.fields["max_turns"] == 5
    assert read.warnings == ("agent_profile: unknown key 'modle'; did you mean 'model'?",)
