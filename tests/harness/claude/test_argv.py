"""The command line, as data."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.context import TaskContext
from orchestrator.domain.grants import grants
from orchestrator.domain.modes import modes_of
from orchestrator.domain.profile import UNLIMITED
from orchestrator.domain.tools import BUILTIN_NAMES, EMBEDDED_NAMES, PATH_TOOLS
from orchestrator.harness.claude.argv import Plan, plan
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS, ClaudeAdapterConfig
from orchestrator.harness.claude.versions import TABLE

OLD, NEW = TABLE
SESSION = "7289fd20-30e9-4726-9673-1e32d9515c75"


def planned(
    behaviour: Any = NEW,
    *,
    config: dict[str, Any] | None = None,
    context: dict[str, Any] | None = None,
    offered: tuple[str, ...] = (),
    **profile: Any,
) -> Plan:
    told = TaskContext(
        task_id="t1",
        attempt=1,
        project_id="p",
        title="T",
        prompt="the-prompt",
        checkout="/work/c",
        attempt_directory="/work/a",
        session_id=SESSION,
    )
    launched = ClaudeAdapterConfig(effective=replace(CLAUDE_DEFAULTS, **profile), **(config or {}))
    return plan(launched, replace(told, **(context or {})), behaviour, offered)


def flag(arguments: tuple[str, ...], name: str) -> list[str]:
    return [word.removeprefix(f"{name}=") for word in arguments if word.startswith(f"{name}=")]


tools = st.lists(
    st.sampled_from(
        [*sorted(BUILTIN_NAMES), *sorted(EMBEDDED_NAMES), "mcp__a__x", "mcp__a__y", "mcp__b__z", "mcp__a__*"]
    ),
    unique=True,
)
profiles = st.fixed_dictionaries(
    {
        "allowed_tools": tools.map(tuple),
        "denied_tools": tools.map(tuple),
        "permission_mode": st.sampled_from(modes_of("claude") or ()),
        "mcp_servers": st.lists(st.sampled_from(["a", "b"]), unique=True).map(tuple),
    }
)


@given(profiles)
def test_only_granted_builtins_are_there(profile: dict[str, Any]) -> None:
    effective = replace(CLAUDE_DEFAULTS, **profile)
    [names] = flag(planned(**profile).arguments, "--tools")
    there = set(filter(None, names.split(",")))
    assert there == {name for name in BUILTIN_NAMES if grants(effective, name)}


@given(profiles)
def test_nothing_is_approved_that_is_not_granted(profile: dict[str, Any]) -> None:
    effective = replace(CLAUDE_DEFAULTS, **profile)
    for rule in ",".join(flag(planned(**profile).arguments, "--allowedTools")).split(","):
        name, scope, _ = rule.partition("(")
        if scope:
            kin = {"Edit": {"Edit", "Write", "NotebookEdit"}, "Read": {"Read", "Grep", "Glob"}}[name]
            assert any(grants(effective, one) for one in kin)
        elif rule and not rule.endswith("*"):
            assert name not in PATH_TOOLS
            assert grants(effective, name)


@given(profiles, st.lists(st.sampled_from(["mcp__a__x", "mcp__a__y", "mcp__b__z", "mcp__c__q"]), unique=True))
def test_everything_offered_beyond_the_profile_is_hidden(profile: dict[str, Any], offered: list[str]) -> None:
    effective = replace(CLAUDE_DEFAULTS, **profile)
    hidden = planned(offered=tuple(offered), **profile).hidden
    assert {name for name in offered if not grants(effective, name)} <= set(hidden)


@given(profiles)
def test_every_flag_is_one_word_and_nothing_comes_from_elsewhere(profile: dict[str, Any]) -> None:
    arguments = planned(**profile).arguments
    assert all(word.startswith("-") for word in arguments)
    assert "--setting-sources=" in arguments
    assert "--strict-mcp-config" in arguments
    assert "--mcp-config=/work/a/launch/mcp.json" in arguments
    assert not any("the-prompt" in word for word in arguments)


def test_no_tools_is_an_empty_list_and_not_the_default() -> None:
    assert "--tools=" in planned(allowed_tools=()).arguments


def test_our_own_tools_get_their_prefix() -> None:
    [rules] = flag(planned(allowed_tools=("create_task",)).arguments, "--allowedTools")
    assert rules == "mcp__agent-queue__create_task"


def test_path_tools_are_approved_in_the_checkout_and_the_added_directories_only() -> None:
    arguments = planned(
        allowed_tools=("Grep", "Write"), config={"added_directories": ("/srv/data",)}
    ).arguments
    [rules] = flag(arguments, "--allowedTools")
    assert rules.split(",") == ["Read(./**)", "Read(//srv/data/**)", "Edit(./**)", "Edit(//srv/data/**)"]
    assert "--add-dir=/srv/data" in arguments


def test_a_directory_that_would_be_a_pattern_gets_no_rule() -> None:
    for name in ("/srv/a,b", "/srv/*", "/srv/a)"):
        [rules] = flag(
            planned(allowed_tools=("Read",), config={"added_directories": (name,)}).arguments,
            "--allowedTools",
        )
        assert rules == "Read(./**)"


def test_limits_that_are_not_there_give_no_flag() -> None:
    bounded = planned(max_turns=3, max_budget_usd=0.5).arguments
    assert "--max-turns=3" in bounded
    assert "--max-budget-usd=0.500000" in bounded
    free = planned(max_turns=UNLIMITED, max_budget_usd=UNLIMITED).arguments
    assert not [word for word in free if word.startswith("--max")]


def test_pieces_of_messages_are_asked_for_only_where_tokens_are_counted() -> None:
    assert "--include-partial-messages" not in planned().arguments
    assert "--include-partial-messages" in planned(max_tokens_per_task=1000).arguments


def test_a_new_session_has_our_id_and_a_resumed_one_its_transcript() -> None:
    assert f"--session-id={SESSION}" in planned().arguments
    resumed = {"resume_transcript": f"/old/claude/projects/-x/{SESSION}.jsonl"}
    arguments = planned(context=resumed).arguments
    assert f"--resume=/work/a/claude/projects/resumed/{SESSION}.jsonl" in arguments
    assert not flag(arguments, "--session-id")
    assert "--system-prompt-snapshot=off" in arguments
    assert "--system-prompt-snapshot=off" not in planned(OLD, context=resumed).arguments


def test_the_role_is_a_file_under_its_heading() -> None:
    result = planned(context={"role_instructions": "You review."})
    assert result.files["/work/a/launch/instructions.md"] == "# Agent Role Instructions\n\nYou review.\n"
    assert "--append-system-prompt-file=/work/a/launch/instructions.md" in result.arguments
    assert not flag(planned(context={"role_instructions": " \n"}).arguments, "--append-system-prompt-file")


def test_settings_become_flags() -> None:
    arguments = planned(settings={"effort": "low", "fallback_model": "claude-haiku-4-5"}).arguments
    assert "--effort=low" in arguments
    assert "--fallback-model=claude-haiku-4-5" in arguments
