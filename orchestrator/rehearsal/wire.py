"""A reply in the words of the Messages API: pure, as one body or as server-sent events."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

from orchestrator.rehearsal.script import LABEL, Reply, StreamError

STATUS_OF_TYPE: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
}


def error_body(type_: str, message: str) -> bytes:
    return _json({"type": "error", "error": {"type": type_, "message": message}})


def body(reply: Reply, *, number: int, model: str, label: bool) -> bytes:
    """The whole answer as one JSON document."""
    usage = asdict(reply.usage)
    content = list(_blocks(reply, number, label))
    return _json({**_message(number, model), "content": content, "stop_reason": _stop(reply), "usage": usage})


def events(reply: Reply, *, number: int, model: str, label: bool) -> Iterator[bytes]:
    """The answer as server-sent events, in pieces of `reply.piece` characters."""
    usage = asdict(reply.usage)
    yield event(
        "message_start", {"message": {**_message(number, model), "usage": {**usage, "output_tokens": 1}}}
    )
    for index, block in enumerate(_blocks(reply, number, label)):
        yield from _block_events(index, block, reply.piece)
    delta = {"stop_reason": _stop(reply), "stop_sequence": None}
    yield event("message_delta", {"delta": delta, "usage": usage})
    yield event("message_stop", {})


def event(name: str, fields: Mapping[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), _json({"type": name, **fields}))


def error_event(fault: StreamError) -> bytes:
    return event("error", {"error": {"type": fault.type, "message": fault.message}})


def first_half(parts: list[bytes]) -> list[bytes]:
    """Up to the middle of the answer, ending between two events, the end always missing."""
    return parts[: max(1, len(parts) // 2)]


def _message(number: int, model: str) -> dict[str, Any]:
    return {
        "id": f"msg_rehearsal_{number:08d}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _blocks(reply: Reply, number: int, label: bool) -> Iterator[dict[str, Any]]:
    if reply.thinking is not None:
        yield {"type": "thinking", "thinking": reply.thinking, "signature": "rehearsal"}
    if reply.text is not None:
        yield {"type": "text", "text": LABEL + reply.text if label and reply.text else reply.text}
    for index, call in enumerate(reply.tools):
        id_ = f"toolu_rehearsal_{number:08d}_{index}"
        yield {"type": "tool_use", "id": id_, "name": call.name, "input": dict(call.input)}


def _block_events(index: int, block: Mapping[str, Any], piece: int) -> Iterator[bytes]:
    kind, key, text = _streamed(block)
    start = {**block, **({"input": {}} if kind == "input_json_delta" else {key: ""})}
    yield event("content_block_start", {"index": index, "content_block": start})
    for offset in range(0, len(text), piece):
        part = {"type": kind, key: text[offset : offset + piece]}
        yield event("content_block_delta", {"index": index, "delta": part})
    yield event("content_block_stop", {"index": index})


def _streamed(block: Mapping[str, Any]) -> tuple[str, str, str]:
    """The type of a block's deltas, the key they come under, and the text they carry in pieces."""
    match block["type"]:
        case "text":
            return "text_delta", "text", block["text"]
        case "thinking":
            return "thinking_delta", "thinking", block["thinking"]
        case _:
            return "input_json_delta", "partial_json", json.dumps(block["input"])


def _stop(reply: Reply) -> str:
    return reply.stop_reason or ("tool_use" if reply.tools else "end_turn")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
