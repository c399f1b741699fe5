"""What a request to the model says: pure reading of its headers and body."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

SESSION_HEADER: Final = "x-claude-code-session-id"
_SECRET: Final = re.compile(r"auth|key|token|secret|cookie|password|credential", re.IGNORECASE)
_REMINDER: Final = "<system-reminder>"


class BadRequest(ValueError):
    """The body is not a request for a message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request for a message, as it arrived.

    `number` counts from 1 over the server's life, `at` is Unix seconds. Headers have lower-case names and
    none that may hold a secret. `tools` are the names offered. `prompt` is what the person last said;
    `turn`, `step` and `results` are as `script.When` explains them. `answered_by` names the rule.
    """

    number: int
    at: float
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    size: int
    session_id: str
    model: str
    stream: bool
    tools: tuple[str, ...]
    system: str
    messages: tuple[Mapping[str, Any], ...]
    prompt: str
    turn: int
    step: int
    results: int
    answered_by: str = ""


def read(
    headers: Mapping[str, str], body: object, *, number: int = 1, at: float = 0.0, size: int = 0
) -> Request:
    """Take a request apart. Raises BadRequest naming the field that has the wrong shape."""
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    messages = _mappings(body.get("messages"), "messages")
    spoken = _last_spoken(messages)
    since = messages[spoken + 1 :]
    safe = {name.lower(): value for name, value in headers.items() if not _SECRET.search(name)}
    return Request(
        number=number,
        at=at,
        headers=safe,
        body=body,
        size=size,
        session_id=safe.get(SESSION_HEADER, ""),
        model=str(body.get("model", "")),
        stream=body.get("stream") is True,
        tools=tuple(str(tool.get("name", "")) for tool in _mappings(body.get("tools", []), "tools")),
        system=_text(body.get("system")),
        messages=messages,
        prompt=_prompt(messages[spoken]) if spoken >= 0 else "",
        turn=sum(message.get("role") == "assistant" for message in messages),
        step=sum(message.get("role") == "assistant" for message in since),
        results=sum(block.get("type") == "tool_result" for message in since for block in _blocks(message)),
    )


def _mappings(value: object, name: str) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadRequest(f"{name}: must be a list of objects")
    return tuple(value)


def _blocks(message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _text(content: object) -> str:
    texts = (block.get("text") for block in _blocks({"content": content}))
    return "\n".join(text for text in texts if isinstance(text, str))


def _prompt(message: Mapping[str, Any]) -> str:
    texts = [block.get("text") for block in _blocks(message) if block.get("type") == "text"]
    said = [text for text in texts if isinstance(text, str) and not text.lstrip().startswith(_REMINDER)]
    return "\n".join(said)


def _last_spoken(messages: Sequence[Mapping[str, Any]]) -> int:
    """Where the person last spoke; the client's own reminders and tool results are not speech."""
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        answers_a_tool = any(block.get("type") == "tool_result" for block in _blocks(message))
        if message.get("role") == "user" and not answers_a_tool and _prompt(message).strip():
            return index
    return -1
