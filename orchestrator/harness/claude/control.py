"""The control protocol: requests and answers beside the conversation; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.harness.claude.guard import Verdict
from orchestrator.harness.claude.versions import Behaviour

GUARD: Final = "guard"
"""Our callback for every call of a tool."""

GUARD_SECONDS: Final = 3600
"""How long the agent waits for an answer. Ours take a millisecond; approvals by a person will take longer."""

Wire = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request of the agent: `hook_callback`, `can_use_tool`, `mcp_message` and others."""

    id: str
    subtype: str
    body: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolRequest:
    """A call that waits for our answer."""

    tool: str
    arguments: object
    use_id: str | None
    cwd: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """An answer to one of our requests."""

    id: str
    body: Mapping[str, Any]
    error: str | None


def asked(raw: Mapping[str, Any]) -> Asked | None:
    """The agent's request in a message; `None` when it is not one that can be answered."""
    request, number = raw.get("request"), raw.get("request_id")
    if not isinstance(request, Mapping) or not isinstance(number, str):
        return None
    return Asked(id=number, subtype=str(request.get("subtype", "")), body=request)


def answered(raw: Mapping[str, Any]) -> Answered | None:
    """The agent's answer in a message; `None` when it is not in the known form."""
    response = raw.get("response")
    if not isinstance(response, Mapping) or not isinstance(response.get("request_id"), str):
        return None
    body = response.get("response")
    failed = response.get("subtype") == "error"
    return Answered(
        id=response["request_id"],
        body=body if isinstance(body, Mapping) else {},
        error=str(response.get("error", "no reason given")) if failed else None,
    )


def tool_request(request: Asked) -> ToolRequest | None:
    """The call behind a request, `None` when it is not about a call or names none."""
    body: Mapping[str, Any] = request.body
    if request.subtype == "hook_callback":
        inner = body.get("input")
        if body.get("callback_id") != GUARD or not isinstance(inner, Mapping):
            return None
        body, arguments = inner, inner.get("tool_input")
    elif request.subtype == "can_use_tool":
        arguments = body.get("input")
    else:
        return None
    tool, use_id, cwd = body.get("tool_name"), request.body.get("tool_use_id"), body.get("cwd")
    if not isinstance(tool, str) or not tool:
        return None
    return ToolRequest(
        tool=tool,
        arguments=arguments,
        use_id=use_id if isinstance(use_id, str) else None,
        cwd=cwd if isinstance(cwd, str) else None,
    )


def initialize(number: str, behaviour: Behaviour) -> Wire:
    """Open the conversation and register the guard for every call."""
    guard: Wire = {"matcher": "*", "hookCallbackIds": [GUARD], "timeout": GUARD_SECONDS}
    if behaviour.fail_closed_hooks:
        guard["onFailure"] = "block"
    return _request(number, {"subtype": "initialize", "hooks": {"PreToolUse": [guard]}})


def ask(number: str, subtype: str) -> Wire:
    """A request without arguments: `interrupt`, `mcp_status`, `get_usage`."""
    return _request(number, {"subtype": subtype})


def user_message(prompt: str, behaviour: Behaviour) -> Wire:
    """The task as one message. What stands before the prompt keeps a leading slash from being a command."""
    message: Wire = {"type": "user", "message": {"role": "user", "content": f"Task:\n{prompt}"}}
    return {**message, "client_composed": True} if behaviour.client_composed else message


def hook_answer(request: Asked, verdict: Verdict) -> Wire:
    """A refusal holds in every permission mode. A grant is no more than "no objection": saying "allow" would
    lift what the permission mode forbids, plan mode included."""
    if verdict.granted:
        return success(request.id, {})
    refusal = {
        "hookEventName": "PreToolUse",
        "permissionDecision": "deny",
        "permissionDecisionReason": verdict.reason,
    }
    return success(request.id, {"hookSpecificOutput": refusal})


def permission_answer(request: Asked, verdict: Verdict) -> Wire:
    """The answer where the agent would ask a person. Nobody is there: what is granted was approved at the
    start, so what still asks is refused."""
    reason = (
        verdict.reason if not verdict.granted else "The permission mode wants a person's approval for this."
    )
    return success(request.id, {"behavior": "deny", "message": reason})


def not_understood(request: Asked) -> Wire:
    """The answer to a request that has no known form. An error in answer to a hook lets the call run in
    2.1.197 (measured), so that one is refused in so many words."""
    why = f"Refused: {request.subtype or 'a request without a name'} is not understood here."
    refused = Verdict(granted=False, reason=why)
    if request.subtype == "hook_callback":
        return hook_answer(request, refused)
    if request.subtype == "can_use_tool":
        return permission_answer(request, refused)
    inner = {"subtype": "error", "request_id": request.id, "error": why}
    return {"type": "control_response", "response": inner}


def success(number: str, body: Mapping[str, Any]) -> Wire:
    inner = {"subtype": "success", "request_id": number, "response": dict(body)}
    return {"type": "control_response", "response": inner}


def _request(number: str, body: Mapping[str, Any]) -> Wire:
    return {"type": "control_request", "request_id": number, "request": dict(body)}
