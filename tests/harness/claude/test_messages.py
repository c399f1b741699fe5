"""What the agent says, taken apart: messages, control requests, sums."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.attempt import Usage
from orchestrator.harness.claude import control
from orchestrator.harness.claude.guard import Verdict
from orchestrator.harness.claude.parse import said
from orchestrator.harness.claude.tally import Tally
from orchestrator.harness.claude.verify import server_states
from orchestrator.harness.claude.versions import TABLE

OLD, NEW = TABLE
KINDS = {"init", "text", "thinking", "tool_use", "tool_result", "result", "retry", "system", "unknown"}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
shapes = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["assistant", "user", "system", "result", "stream_event", "rate_limit_event", "x"]
        )
        | json_values,
        "subtype": st.sampled_from(["init", "api_retry", "task_started", "success"]) | json_values,
        "message": st.fixed_dictionaries(
            {}, optional={"content": json_values, "usage": json_values, "id": json_values}
        )
        | json_values,
        "usage": json_values,
        "event": json_values,
        "rate_limit_info": json_values,
        "permission_denials": json_values,
        "request": json_values,
        "request_id": json_values,
        "response": json_values,
        "mcp_servers": json_values,
        "total_cost_usd": json_values,
        "num_turns": json_values,
    },
)


@given(shapes)
def test_no_form_of_message_is_fatal(raw: dict[str, Any]) -> None:
    for kind, body in said(raw):
        assert kind in KINDS
        json.dumps(body)
    tally = Tally()
    tally.observe(raw)
    tally.observe(raw)
    assert isinstance(tally.usage(), Usage)
    request = control.asked(raw)
    if request is not None:
        control.tool_request(request)
    control.answered(raw)
    server_states(raw.get("mcp_servers"))


def test_an_unknown_message_is_kept_whole() -> None:
    raw = {"type": "brand_new", "x": [1, 2]}
    assert list(said(raw)) == [("unknown", raw)]
    assert list(said({"type": "assistant", "message": {"content": [{"type": "hologram", "x": 1}]}})) == [
        ("unknown", {"role": "assistant", "type": "hologram", "x": 1})
    ]


def test_each_block_is_a_message_with_what_its_line_said() -> None:
    raw = {
        "type": "assistant",
        "message": {
            "id": "m1",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "tool_use", "id": "t1", "name": "Read", "input": {}},
            ],
        },
        "parent_tool_use_id": "up",
    }
    [(first, text), (second, call)] = said(raw)
    assert (first, text["text"], text["parent_tool_use_id"]) == ("text", "a", "up")
    assert (second, call["id"], call["message_id"]) == ("tool_use", "t1", "m1")


def test_control_traffic_and_pieces_are_no_messages() -> None:
    for kind in ("control_request", "control_response", "stream_event"):
        assert list(said({"type": kind})) == []


def result(**fields: Any) -> dict[str, Any]:
    return {"type": "result", "subtype": "success", "is_error": False, "total_cost_usd": 1.0, **fields}


def test_the_last_result_has_the_cost_and_every_result_its_denials() -> None:
    tally = Tally()
    tally.observe(result(total_cost_usd=0.4, permission_denials=[{"tool_name": "Bash", "tool_use_id": "t1"}]))
    tally.observe(result(total_cost_usd=0.7, permission_denials=[]))
    assert tally.usage().cost_usd == 0.7
    assert tally.denials == {"t1": "Bash"}


def test_what_a_session_had_cost_before_is_not_counted_again() -> None:
    tally = Tally(cost_before=0.75)
    tally.observe(result())
    assert tally.usage().cost_usd == 0.25
    lower = Tally(cost_before=5.0)
    lower.observe(result())
    assert lower.usage().cost_usd == 0.0


def test_a_message_is_counted_once_however_many_blocks_it_has() -> None:
    tally = Tally()
    usage = {
        "input_tokens": 100,
        "output_tokens": 1,
        "cache_read_input_tokens": 9999,
        "cache_creation_input_tokens": 50,
    }
    for _ in range(3):
        tally.observe({"type": "assistant", "message": {"id": "m1", "content": [], "usage": usage}})
    assert tally.tokens == 151
    assert tally.usage().input_tokens == 151


def test_the_pieces_say_what_a_message_used_in_the_end() -> None:
    tally = Tally()
    start = {
        "type": "message_start",
        "message": {"id": "m1", "usage": {"input_tokens": 100, "output_tokens": 1}},
    }
    tally.observe({"type": "stream_event", "event": start})
    tally.observe(
        {"type": "stream_event", "event": {"type": "message_delta", "usage": {"output_tokens": 400}}}
    )
    tally.observe({"type": "assistant", "message": {"id": "m1", "usage": start["message"]["usage"]}})
    assert 500 <= tally.tokens <= 501


def test_work_in_the_background_is_known_until_it_ends() -> None:
    tally = Tally()
    tally.observe({"type": "system", "subtype": "task_started", "task_id": "b"})
    assert tally.background == {"b"}
    tally.observe({"type": "system", "subtype": "task_notification", "task_id": "b"})
    assert not tally.background


def test_the_guard_is_registered_for_every_call_and_closed_where_that_is_possible() -> None:
    [new] = control.initialize("1", NEW)["request"]["hooks"]["PreToolUse"]
    assert (new["matcher"], new["hookCallbackIds"], new["onFailure"]) == ("*", ["guard"], "block")
    [old] = control.initialize("1", OLD)["request"]["hooks"]["PreToolUse"]
    assert "onFailure" not in old


@pytest.mark.parametrize("prompt", ["/clear", "@/etc/passwd", "", "\n/x", "plain"])
def test_a_message_never_begins_with_a_slash(prompt: str) -> None:
    for behaviour in TABLE:
        message = control.user_message(prompt, behaviour)
        assert message["message"]["content"] == f"Task:\n{prompt}"
        assert message.get("client_composed", False) is behaviour.client_composed


def hook(tool: str, arguments: object, **fields: Any) -> control.Asked:
    inner = {"tool_name": tool, "tool_input": arguments, "cwd": "/work/c"}
    body = {"subtype": "hook_callback", "callback_id": "guard", "tool_use_id": "t1", "input": inner, **fields}
    asked = control.asked({"type": "control_request", "request_id": "r1", "request": body})
    assert asked is not None
    return asked


def test_a_grant_is_no_objection_and_a_refusal_is_a_denial() -> None:
    request = hook("Read", {"file_path": "x"})
    wanted = control.tool_request(request)
    assert wanted == control.ToolRequest(
        tool="Read", arguments={"file_path": "x"}, use_id="t1", cwd="/work/c"
    )
    fine = control.hook_answer(request, Verdict(granted=True, reason="ok"))
    assert fine["response"] == {"subtype": "success", "request_id": "r1", "response": {}}
    no = control.hook_answer(request, Verdict(granted=False, reason="because"))["response"]["response"]
    assert no["hookSpecificOutput"]["permissionDecision"] == "deny"
    assert no["hookSpecificOutput"]["permissionDecisionReason"] == "because"


def test_a_question_for_a_person_is_refused_since_nobody_is_there() -> None:
    body = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {}, "tool_use_id": "t1"}
    request = control.asked({"request_id": "r1", "request": body})
    assert request is not None
    assert control.tool_request(request) is not None
    for granted in (True, False):
        answer = control.permission_answer(request, Verdict(granted=granted, reason="because"))
        assert answer["response"]["response"]["behavior"] == "deny"


def test_a_callback_that_is_not_ours_is_no_call() -> None:
    assert control.tool_request(hook("Read", {}, callback_id="other")) is None
    assert control.tool_request(hook("", {})) is None


def test_a_hook_that_is_not_understood_is_refused_and_not_answered_with_an_error() -> None:
    """An error in its answer lets the call run in 2.1.197."""
    for request in (hook("", {}), hook("Read", {}, callback_id="other"), hook("Read", {}, input=None)):
        inner = control.not_understood(request)["response"]
        assert inner["subtype"] == "success"
        assert inner["response"]["hookSpecificOutput"]["permissionDecision"] == "deny"
    body = {"subtype": "brand_new"}
    other = control.asked({"request_id": "r1", "request": body})
    assert other is not None
    assert control.not_understood(other)["response"]["subtype"] == "error"
