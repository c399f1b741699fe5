"""Whatever the profile and whatever the name: preview, launch, verification and guard give one answer."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.context import TaskContext
from orchestrator.domain.grants import covers, denies, grants, rule
from orchestrator.domain.tools import BUILTIN_NAMES, EMBEDDED_NAMES, PATH_TOOLS
from orchestrator.harness.claude.argv import plan
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS, ClaudeAdapterConfig
from orchestrator.harness.claude.granted import beyond_grant
from orchestrator.harness.claude.guard import Territory, decide
from orchestrator.harness.claude.verify import compare
from orchestrator.harness.claude.versions import TABLE

TERRITORY = Territory(checkout="/w", writable=("/w",), readable=())
CALLED = [
    "mcp__a__x",
    "mcp__a__x_y",
    "mcp__a_b__x",
    "mcp__a-b__z",
    "mcp__b__x",
    "mcp__agent-queue__create_task",
]
RULES = ["mcp__a", "mcp__a__*", "mcp__b__*", "mcp__agent-queue", "mcp__agent-queue__*", "create_task"]

profiles = st.builds(
    lambda allowed, denied, servers: replace(
        CLAUDE_DEFAULTS, allowed_tools=tuple(allowed), denied_tools=tuple(denied), mcp_servers=tuple(servers)
    ),
    st.lists(st.sampled_from([*sorted(BUILTIN_NAMES), *sorted(EMBEDDED_NAMES), *CALLED, *RULES]), max_size=6),
    st.lists(
        st.sampled_from([*sorted(BUILTIN_NAMES), *CALLED, *RULES, "Web*", "mcp__*", "mcp__a__x*"]), max_size=3
    ),
    st.lists(st.sampled_from(["a", "a_b", "a-b", "b"]), unique=True),
)
names = st.sampled_from([*sorted(BUILTIN_NAMES), *CALLED, "Task", "Nonsense", "mcp__", "mcp__a", "mcp__a__*"])


def flag(arguments: tuple[str, ...], name: str) -> list[str]:
    given = [word.partition("=")[2] for word in arguments if word.startswith(name + "=")]
    return [one for text in given for one in text.split(",") if one]


@given(profiles, names)
def test_every_layer_answers_as_the_preview_does(effective: Any, name: str) -> None:
    granted = grants(effective, name)
    assert (beyond_grant(effective, [name]) == ()) is granted
    init = {"tools": [name], "mcp_servers": [], "permissionMode": effective.permission_mode}
    assert (compare(init, effective, ()).fault is None) is granted
    verdict = decide(effective, TERRITORY, name, {"file_path": "/w/x"}, cwd="/w", resolve=str)
    assert not verdict.granted or granted
    if rule(name) not in PATH_TOOLS:
        assert verdict.granted is granted


@given(profiles, st.lists(names.filter(lambda name: name.count("__") == 2), unique=True))
def test_the_command_line_has_what_is_granted_and_hides_what_is_not(
    effective: Any, offered: list[str]
) -> None:
    context = TaskContext(
        task_id="t",
        attempt=1,
        project_id="p",
        title="t",
        prompt="x",
        checkout="/w",
        attempt_directory="/a",
        session_id="s",
    )
    planned = plan(ClaudeAdapterConfig(effective=effective), context, TABLE[-1], offered)
    assert set(flag(planned.arguments, "--tools")) == {n for n in BUILTIN_NAMES if grants(effective, n)}
    hidden = flag(planned.arguments, "--disallowedTools")
    approved = flag(planned.arguments, "--allowedTools")
    for name in (one for one in offered if "*" not in one):
        assert any(denies(rule(one), rule(name)) for one in hidden) is not grants(effective, name)
        if grants(effective, name) and effective.permission_mode != "plan":
            assert any(covers(rule(one), rule(name)) for one in approved)
