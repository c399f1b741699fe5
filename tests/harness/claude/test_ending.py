"""How an attempt ended and what it was, judged from fields."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.outcome import (
    ApiFailed,
    AuthenticationFailed,
    BudgetSpent,
    Completed,
    Crashed,
    Hung,
    Interrupted,
    Killed,
    ModelRefused,
    NotStarted,
    Overloaded,
    RateLimited,
    ServerMissing,
    ToolSurplus,
    TurnLimitReached,
)
from orchestrator.harness.claude.classify import Ending, classify, early_end
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS
from orchestrator.harness.claude.tally import Tally
from orchestrator.harness.claude.verify import compare, missing_servers, server_states

EFFECTIVE = replace(CLAUDE_DEFAULTS, allowed_tools=("Read", "Agent", "mcp__a__x"), mcp_servers=("a",))


def tally(*, api_error: str | None = None, **fields: Any) -> Tally:
    result = {"type": "result", "subtype": "success", "is_error": True, "result": "said", **fields}
    return Tally(result=result, api_error=api_error, init={})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"is_error": False}, Completed),
        ({}, ApiFailed),
        ({"is_error": None}, ApiFailed),
        ({"api_error_status": 401}, AuthenticationFailed),
        ({"api_error": "authentication_failed"}, AuthenticationFailed),
        ({"api_error": "billing_error"}, AuthenticationFailed),
        ({"api_error_status": 429}, RateLimited),
        ({"api_error": "rate_limit"}, RateLimited),
        ({"api_error_status": 529}, Overloaded),
        ({"api_error_status": 500, "api_error": "server_error"}, ApiFailed),
        ({"api_error": "model_not_found"}, ApiFailed),
        ({"stop_reason": "refusal"}, ModelRefused),
        ({"api_error": "max_output_tokens"}, ModelRefused),
        ({"terminal_reason": "prompt_too_long"}, ModelRefused),
        ({"subtype": "error_max_turns", "errors": ["Reached"], "result": None}, TurnLimitReached),
        ({"subtype": "error_max_budget_usd"}, BudgetSpent),
        ({"subtype": "error_during_execution"}, Crashed),
        ({"subtype": None}, Crashed),
        ({"subtype": 7, "result": 7}, Crashed),
    ],
)
def test_fields_decide(fields: dict[str, Any], expected: type) -> None:
    outcome = classify(Ending(tally=tally(**fields), exit_code=1))
    assert isinstance(outcome, expected), outcome


@given(st.text(), st.sampled_from(["result", "errors"]))
def test_no_text_decides(text: str, where: str) -> None:
    """Whatever the agent says, what it ended with stays what it was."""
    plain = classify(Ending(tally=tally(api_error_status=500)))
    told = tally(api_error_status=500, result=f"{text} 401 429 rate limit authentication overloaded")
    assert type(classify(Ending(tally=told, stderr=text))) is type(plain)


@pytest.mark.parametrize("code", [0, 1, 143])
def test_the_exit_code_does_not_overrule_a_result(code: int) -> None:
    assert classify(Ending(tally=tally(is_error=False), exit_code=code)) == Completed(answer="said")


def test_our_reason_counts_unless_the_answer_was_there() -> None:
    ours = Interrupted()
    assert classify(Ending(tally=tally(is_error=False), ours=ours)) == Completed(answer="said")
    assert classify(Ending(tally=tally(subtype="error_during_execution"), ours=ours)) == ours
    assert classify(Ending(tally=Tally(), ours=Hung(message="m", timer="stall"), signal=9)).kind == "hung"


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ({"exit_code": 0}, Crashed),
        ({"exit_code": 1}, NotStarted),
        ({"exit_code": 1, "started": True}, Crashed),
        ({"signal": 9}, Killed),
        ({"exit_code": 143, "started": True}, Killed),
        ({"exit_code": 250, "started": True}, Killed),
        ({}, Crashed),
    ],
)
def test_without_a_result_the_process_is_all_there_is(ending: dict[str, Any], expected: type) -> None:
    seen = Tally(init={}) if ending.pop("started", False) else Tally()
    outcome = classify(Ending(tally=seen, stderr="warning\nerror: unknown option\n", **ending))
    assert isinstance(outcome, expected), outcome
    if expected is NotStarted:
        assert "unknown option" in outcome.message


def test_the_time_of_a_reset_is_passed_on() -> None:
    limited = tally(api_error_status=429)
    assert classify(Ending(tally=limited)) == RateLimited(
        message=classify(Ending(tally=limited)).message, reset_at=None
    )
    limited.observe({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1234}})
    outcome = classify(Ending(tally=limited))
    assert isinstance(outcome, RateLimited)
    assert outcome.reset_at == 1234.0
    limited.observe({"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}})
    again = classify(Ending(tally=limited))
    assert isinstance(again, RateLimited)
    assert again.reset_at is None


def test_only_a_hopeless_retry_is_cut_short() -> None:
    assert isinstance(early_end({"error_status": 401}, at=0, patience=60), AuthenticationFailed)
    assert early_end({"error_status": 429, "retry_delay_ms": 59_000}, at=0, patience=60) is None
    late = early_end({"error_status": 429, "retry_delay_ms": 61_000}, at=100, patience=60)
    assert isinstance(late, RateLimited)
    assert late.reset_at == 161
    for status in (500, 529, None, "401"):
        assert early_end({"error_status": status, "retry_delay_ms": 10**6}, at=0, patience=60) is None


def init(**fields: Any) -> dict[str, Any]:
    said = {
        "tools": ["Read", "Task", "mcp__a__x"],
        "mcp_servers": [{"name": "a", "status": "connected"}],
        "permissionMode": "dontAsk",
        "model": EFFECTIVE.model,
    }
    return {**said, **fields}


def test_what_was_granted_is_what_is_there() -> None:
    """`Agent` is reported under its old name."""
    found = compare(init(), EFFECTIVE, ["a"])
    assert found.fault is None
    assert found.warnings == ()


@given(
    st.lists(st.sampled_from(["Read", "Task", "mcp__a__x", "Bash", "mcp__a__y", "mcp__b__x"]), unique=True)
)
def test_every_surplus_is_a_fault_and_nothing_less_is(tools: list[str]) -> None:
    found = compare(init(tools=tools), EFFECTIVE, ["a"])
    surplus = sorted(set(tools) - {"Read", "Task", "mcp__a__x"})
    assert isinstance(found.fault, ToolSurplus) is bool(surplus)
    if isinstance(found.fault, ToolSurplus):
        assert list(found.fault.tools) == surplus
        assert all(tool in found.fault.message for tool in surplus)


def test_a_foreign_server_and_another_mode_are_faults() -> None:
    foreign = [{"name": "a", "status": "connected"}, {"name": "b", "status": "failed"}]
    assert isinstance(compare(init(mcp_servers=foreign), EFFECTIVE, ["a"]).fault, ToolSurplus)
    assert isinstance(compare(init(permissionMode="auto"), EFFECTIVE, ["a"]).fault, ToolSurplus)
    assert isinstance(compare(init(permissionMode=None), EFFECTIVE, ["a"]).fault, ToolSurplus)


@pytest.mark.parametrize("status", ["pending", "failed", "needs-auth", "brand-new"])
def test_a_required_server_must_be_connected(status: str) -> None:
    found = compare(init(mcp_servers=[{"name": "a", "status": status}]), EFFECTIVE, ["a"])
    assert isinstance(found.fault, ServerMissing)
    assert status in found.fault.message


def test_the_agents_own_reason_is_passed_on() -> None:
    states = server_states([{"name": "a", "status": "failed", "error": "ENOENT"}])
    fault = missing_servers(states, ["a", "b"])
    assert fault is not None
    assert fault.servers == ("a", "b")
    assert "ENOENT" in fault.message
    assert "not accepted" in fault.message


def test_what_is_missing_or_different_without_harm_is_a_warning() -> None:
    found = compare(init(tools=["Read"], model="claude-other"), EFFECTIVE, ["a"])
    assert found.fault is None
    assert "Agent" in found.warnings[0]
    assert "claude-other" in found.warnings[1]
    assert compare(init(model=f"{EFFECTIVE.model}[1m]"), EFFECTIVE, ["a"]).warnings == ()


def test_an_agent_without_credentials_was_refused_by_nobody() -> None:
    """Its own advice, to log in as a person does, is no way in for a worker."""
    none = tally(api_error="authentication_failed", result="Not logged in · Please run /login")
    outcome = classify(Ending(tally=none))
    assert isinstance(outcome, AuthenticationFailed)
    assert "found no credentials" in outcome.message
    assert "/login" not in outcome.message
