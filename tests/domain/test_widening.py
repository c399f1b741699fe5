"""When one effective profile counts as granting more than another."""

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.domain.cascade import Refusal, resolve
from orchestrator.domain.catalog import Catalog, Ceiling, ProfileEntry
from orchestrator.domain.merge import merge
from orchestrator.domain.profile import UNLIMITED, AgentProfile, EffectiveProfile
from orchestrator.domain.widening import mode_is_wider, widened

KNOWN = EffectiveProfile(
    profile_id="reviewer",
    harness="claude",
    model="sonnet",
    permission_mode="default",
    allowed_tools=("Read", "mcp__linter__*"),
    denied_tools=("mcp__linter__fix", "WebFetch"),
    mcp_servers=("linter",),
    system_prompt_suffix="",
    max_tokens_per_task=1000,
    max_turns=10,
    max_budget_usd=1,
    timeout_seconds=60,
    settings={"sandbox": True},
    origins={},
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("harness", "codex"),
        ("permission_mode", "acceptEdits"),
        ("permission_mode", "unheard-of"),
        ("allowed_tools", ("Read", "Bash")),
        ("allowed_tools", ("mcp__*",)),
        ("denied_tools", ("WebFetch",)),
        ("denied_tools", ("mcp__linter__run",)),
        ("mcp_servers", ("linter", "shell")),
        ("max_tokens_per_task", UNLIMITED),
        ("max_turns", 11),
        ("max_budget_usd", 1.5),
        ("timeout_seconds", 61),
        ("settings", {}),
    ],
)
def test_more_in_one_field_is_wider_and_names_it(field: str, value: Any) -> None:
    assert widened(replace(KNOWN, **{field: value}), KNOWN) == (field,)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": "opus", "system_prompt_suffix": "Be bold."},
        {"permission_mode": "plan"},
        {"permission_mode": "dontAsk"},
        {"allowed_tools": ()},
        {"allowed_tools": ("mcp__linter__run",), "denied_tools": ()},
        {"denied_tools": ("mcp__linter__*", "Read")},
        {"mcp_servers": (), "max_turns": 1},
    ],
)
def test_what_grants_nothing_more_is_not_wider(changes: dict[str, Any]) -> None:
    assert widened(replace(KNOWN, **changes), KNOWN) == ()


def test_modes_that_cannot_be_compared_count_as_wider_both_ways() -> None:
    assert mode_is_wider("unheard-of", "plan")
    assert mode_is_wider("plan", "unheard-of")
    assert not mode_is_wider("unheard-of", "unheard-of")
    assert not mode_is_wider("manual", "default")


def test_after_both_documents_went_the_next_tier_may_exceed_neither() -> None:
    def gone(**changes: Any) -> ProfileEntry:
        return ProfileEntry(profile=AgentProfile(id="a", name="a", **changes), present=False)

    catalog = Catalog(
        project_id="acme",
        task_profile_id="a",
        project_profile_id=None,
        profiles={"a": gone(allowed_tools=("Read",))},
        overlays={"a": gone(allowed_tools=KNOWN.allowed_tools)},
        defaults={"claude": KNOWN},
    )
    assert isinstance(resolve(catalog), Refusal)
    wide_profile = replace(catalog, profiles={"a": gone()})
    assert not isinstance(resolve(wide_profile), Refusal)


def test_a_denied_tool_leaves_the_allowed_ones_and_the_origin_says_so() -> None:
    profile = AgentProfile(id="a", name="a", allowed_tools=("Read", "Bash"), denied_tools=("Bash",))
    effective = merge(KNOWN, profile, None, Ceiling(denied_tools=("Write",)), "acme")
    assert effective.allowed_tools == ("Read",)
    assert effective.denied_tools == ("Bash", "Write")
    assert effective.origins["allowed_tools"] == "profile a, less what is denied"
    assert effective.origins["denied_tools"] == "profile a, clamped by instance"
