"""Parsing: what the agent says, as messages of the domain; pure, and tolerant of what it does not know."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

Said = tuple[str, dict[str, Any]]
"""Kind and body of one `AgentMessage`."""

BLOCKS: Final = {"text": "text", "thinking": "thinking", "tool_use": "tool_use", "tool_result": "tool_result"}

CARRIED: Final = ("parent_tool_use_id", "session_id", "error")
"""Fields of a line that each of its blocks keeps."""


def said(raw: Mapping[str, Any]) -> Iterator[Said]:
    """The messages in one line of output: one for each block of content, one for anything else.

    Control messages and pieces of a message still to come are not conversation and give nothing. A line that
    has not the form of its type is kept as `unknown`.
    """
    kind = raw.get("type")
    if kind in (
        "control_request",
        "control_response",
        "control_cancel_request",
        "stream_event",
        "keep_alive",
    ):
        return
    if kind in ("assistant", "user"):
        yield from _blocks(raw)
    elif kind == "result":
        yield "result", dict(raw)
    elif kind == "system":
        yield _system(raw)
    elif kind == "rate_limit_event":
        yield "system", dict(raw)
    else:
        yield "unknown", dict(raw)


def _system(raw: Mapping[str, Any]) -> Said:
    subtype = raw.get("subtype")
    kinds = {"init": "init", "api_retry": "retry"}
    return (kinds.get(subtype, "system") if isinstance(subtype, str) else "unknown"), dict(raw)


def _blocks(raw: Mapping[str, Any]) -> Iterator[Said]:
    message = raw.get("message")
    content = message.get("content") if isinstance(message, Mapping) else None
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(message, Mapping) or not isinstance(content, list):
        yield "unknown", dict(raw)
        return
    shared = {name: raw[name] for name in CARRIED if raw.get(name) is not None}
    shared |= {"role": raw["type"]}
    if isinstance(message.get("id"), str):
        shared["message_id"] = message["id"]
    for block in content:
        if not isinstance(block, Mapping):
            yield "unknown", {**shared, "block": block}
        else:
            yield BLOCKS.get(str(block.get("type")), "unknown"), {**shared, **block}
