"""Names of tools: stored bare, compared canonically, launched with the prefix of our server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.tools import (
    BUILTIN_NAMES,
    EMBEDDED_NAMES,
    EMBEDDED_PREFIX,
    EXECUTING_TOOLS,
    KNOWN_MCP_NAMES,
    KNOWN_TOOL_NAMES,
    PATH_TOOLS,
    BadToolName,
    ToolsByKind,
    canonical,
    check_name,
    is_mcp,
    launch_name,
    mcp_name,
    server_of,
    split_by_kind,
    suggestion,
    unknown_tool_message,
    validate_tool_names,
)

NAMES = st.one_of(
    st.sampled_from(sorted(KNOWN_TOOL_NAMES)),
    st.from_regex(r"\A[a-z_]{1,8}\Z"),
    st.from_regex(r"\Amcp__[a-z-]{1,8}__[a-z]{1,8}\Z"),
    st.sampled_from(sorted(EMBEDDED_NAMES)).map(lambda name: EMBEDDED_PREFIX + name),
)


@given(NAMES)
def test_canonical_is_stable_and_survives_the_way_out_and_back(name: str) -> None:
    once = canonical(name)
    assert canonical(once) == once
    assert canonical(launch_name(name)) == once
    assert launch_name(launch_name(name)) == launch_name(name)


def test_only_the_prefix_of_our_own_server_is_stripped() -> None:
    assert canonical("mcp__agent-queue__create_task") == "create_task"
    assert canonical("mcp__linter__run") == "mcp__linter__run"


def test_earlier_names_of_built_ins_mean_the_tool_of_today() -> None:
    assert [canonical(name) for name in ("Task", "KillShell", "Agent")] == ["Agent", "TaskStop", "Agent"]
    assert canonical("mcp__agent-queue__Task") == "Task"


def test_only_embedded_tools_are_launched_with_the_prefix() -> None:
    assert launch_name("create_task") == "mcp__agent-queue__create_task"
    assert launch_name("Read") == "Read"
    assert launch_name("mcp__linter__run") == "mcp__linter__run"
    assert launch_name("create_task", embedded=()) == "create_task"


def test_a_list_is_sorted_by_who_provides_each_tool() -> None:
    mixed = [
        "Read",
        "mcp__linter__run",
        "create_task",
        "Task",
        "mcp__agent-queue__get_task",
        "get_weather",
        "Read",
    ]
    assert split_by_kind(mixed) == ToolsByKind(
        builtins=("Read", "Agent", "get_weather"),
        embedded=("create_task", "get_task"),
        mcp=("mcp__linter__run",),
    )


@given(st.lists(NAMES))
def test_sorting_loses_nothing_and_invents_nothing(names: list[str]) -> None:
    kinds = split_by_kind(names)
    assert sorted(kinds.builtins + kinds.embedded + kinds.mcp) == sorted(set(map(canonical, names)))


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("mcp__linter__run", "linter"),
        ("mcp__agent-queue__get_task", "agent-queue"),
        ("mcp__a__b__c", "a"),
        ("mcp__a", None),
        ("mcp__a__", None),
        ("mcp____b", None),
        ("Read", None),
        ("a__b", None),
    ],
)
def test_the_server_is_read_from_the_name(name: str, server: str | None) -> None:
    assert server_of(name) == server
    assert is_mcp(name) is name.startswith("mcp__")


def test_names_of_servers_and_tools_are_made_as_the_command_line_makes_them() -> None:
    assert mcp_name("agent-queue", "ping") == "mcp__agent-queue__ping"
    assert mcp_name("my.server", "do it") == "mcp__my_server__do_it"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("", "must not be empty"),
        ("Read,Grep", "','"),
        ("Read Grep", "' '"),
        (" Read", "' '"),
        ("Read\n", r"'\\n'"),
        ("Read\x00", r"'\\x00'"),
        ("Bash(git *)", "wildcard"),
        ("Bash(git status)", "parentheses"),
        ("mcp__srv__*", "wildcard"),
        ("*", "wildcard"),
        ("'Read'", '"\'"'),
        ('"Read"', "'\"'"),
        ("-Read", "'-'"),
        ("--tools", "'-'"),
        ("9lives", "'9'"),
        ("R\u0435ad", "'\u0435'"),
        ("../Read", r"'\.'"),
        ("mcp__linter", "mcp__<server>__<tool>"),
        ("mcp__linter__", "mcp__<server>__<tool>"),
        ("x" * 201, "longer than 200"),
    ],
)
def test_what_could_be_read_as_something_else_is_no_tool_name(name: str, complaint: str) -> None:
    with pytest.raises(BadToolName, match=complaint):
        check_name(name)


@given(st.text(max_size=30))
def test_a_name_that_passes_is_one_word_that_no_list_splits(name: str) -> None:
    try:
        check_name(name)
    except BadToolName:
        return
    assert not set(name) & set(" ,()\"'*=\t\r\n")
    assert name.isascii()
    assert not name.startswith("-")


def test_every_known_name_passes() -> None:
    for name in KNOWN_TOOL_NAMES:
        assert check_name(name) == name


def test_unknown_names_are_listed_in_order_and_mcp_names_are_left_alone() -> None:
    names = [
        "Read",
        "read",
        "get_weather",
        "mcp__any__thing",
        "create_task",
        "Task",
        "mcp__broken",
        "send_message",
    ]
    assert validate_tool_names(names) == ["read", "get_weather", "mcp__broken", "send_message"]
    assert validate_tool_names(names, extra=["get_weather", "send_message"]) == ["read", "mcp__broken"]


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("read", "Read"),
        ("Gerp", "Grep"),
        ("web_fetch", "WebFetch"),
        ("WebSerch", "WebSearch"),
        ("creat_task", "create_task"),
        ("notebookedit", "NotebookEdit"),
        ("get_weather", None),
        ("x", None),
        ("", None),
    ],
)
def test_a_typo_gets_the_nearest_known_name(typo: str, meant: str | None) -> None:
    assert suggestion(typo) == meant


def test_the_warning_says_what_was_meant_or_where_to_look() -> None:
    assert unknown_tool_message("read") == "tool 'read' is not known; did you mean 'Read'?"
    assert "list_available_tools" in unknown_tool_message("get_weather")


def test_the_groups_hold_only_known_built_ins() -> None:
    assert PATH_TOOLS | EXECUTING_TOOLS <= BUILTIN_NAMES
    assert not PATH_TOOLS & EXECUTING_TOOLS
    assert not EMBEDDED_NAMES & BUILTIN_NAMES
    assert {"Read", "Grep", "Glob", "Bash", "Agent", "WebFetch"} <= BUILTIN_NAMES
    assert "playwright" in KNOWN_MCP_NAMES
