"""A script as people write it: YAML or JSON into a `Script`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final, cast

from orchestrator.rehearsal.builtin import look_round
from orchestrator.rehearsal.reader import Field, ScriptInvalid, document, optional
from orchestrator.rehearsal.script import (
    UNSCRIPTED,
    CutOff,
    Failure,
    Fault,
    Hang,
    Malformed,
    Reply,
    Responder,
    Rule,
    Script,
    StreamError,
    Tokens,
    ToolCall,
    When,
    Where,
)
from orchestrator.rehearsal.wire import STATUS_OF_TYPE

NAMED_REPLIES: Final[Mapping[str, Responder]] = {"look_round": look_round}
"""Replies that are worked out, which a script can ask for by name."""

TYPE_OF_STATUS: Final = {status: type_ for type_, status in STATUS_OF_TYPE.items()}
STOP_REASONS: Final = ("end_turn", "tool_use", "max_tokens", "stop_sequence", "refusal", "pause_turn")


def load(path: Path) -> Script:
    """The script in a file. Raises ScriptInvalid naming the file, the line and the field."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptInvalid(f"the script {path} cannot be read: {error}") from error
    return parse(text, source=str(path))


def parse(text: str, *, source: str = "script") -> Script:
    """The script in a text. Raises ScriptInvalid naming the line and the field."""
    root = document(text, source)
    top = root.fields("name", "label", "replies", "rules", "default")
    if "replies" in top and "rules" in top:
        top["replies"].fail("and rules exclude each other; move the replies into a rule")
    rules: tuple[Rule, ...] = ()
    if "rules" in top:
        rules = tuple(map(_rule, top["rules"].items()))
    elif "replies" in top:
        rules = (Rule(replies=_replies(top["replies"])),)
    if not rules and "default" not in top:
        root.fail("has no replies; give it `replies:`, `rules:` or `default:`")
    return Script(
        rules=rules,
        default=_reply(top["default"]) if "default" in top else UNSCRIPTED,
        label=optional(top, "label", Field.truth, True),
        name=optional(top, "name", Field.text, "script"),
    )


def _rule(field: Field) -> Rule:
    entries = field.fields("name", "when", "times", "times_in_all", "replies")
    if "replies" not in entries:
        field.fail("has no replies")
    return Rule(
        name=optional(entries, "name", Field.text, None),
        when=optional(entries, "when", _when, When()),
        times=optional(entries, "times", _count, None),
        times_in_all=optional(entries, "times_in_all", _count, None),
        replies=_replies(entries["replies"]),
    )


def _when(field: Field) -> When:
    entries = field.fields(*(one.name for one in fields(When)))
    return When(
        prompt=optional(entries, "prompt", _pattern, None),
        turn=optional(entries, "turn", Field.whole, None),
        step=optional(entries, "step", Field.whole, None),
        results=optional(entries, "results", Field.whole, None),
        session=optional(entries, "session", Field.text, None),
        headers=optional(entries, "headers", Field.texts, {}),
        model=optional(entries, "model", Field.text, None),
        tool=optional(entries, "tool", Field.text, None),
    )


def _replies(field: Field) -> tuple[Reply | Responder, ...]:
    replies = tuple(map(_reply, field.items()))
    if not replies:
        field.fail("must have at least one reply")
    return replies


def _reply(field: Field) -> Reply | Responder:
    if field.is_scalar():
        return NAMED_REPLIES[field.one_of(*NAMED_REPLIES)]
    plain = ("text", "tools", "thinking", "stop_reason", "usage", "delay", "pause", "piece")
    entries = field.fields(*plain, *_FAULTS)
    faults = [key for key in entries if key in _FAULTS]
    if len(faults) > 1:
        entries[faults[1]].fail(f"cannot stand beside {faults[0]}; a reply has one fault")
    return Reply(
        text=optional(entries, "text", Field.text, None),
        tools=optional(entries, "tools", lambda tools: tuple(map(_call, tools.items())), ()),
        thinking=optional(entries, "thinking", Field.text, None),
        stop_reason=optional(entries, "stop_reason", lambda reason: reason.one_of(*STOP_REASONS), None),
        usage=optional(entries, "usage", _tokens, Tokens()),
        delay=optional(entries, "delay", Field.seconds, 0.0),
        pause=optional(entries, "pause", Field.seconds, 0.0),
        piece=optional(entries, "piece", _count, 4096),
        fault=_FAULTS[faults[0]](entries[faults[0]]) if faults else None,
    )


def _call(field: Field) -> ToolCall:
    entries = field.fields("name", "input")
    if "name" not in entries:
        field.fail("has no name")
    return ToolCall(name=entries["name"].text(), input=optional(entries, "input", _mapping, {}))


def _tokens(field: Field) -> Tokens:
    entries = field.fields(*(one.name for one in fields(Tokens)))
    return Tokens(**{key: entry.whole() for key, entry in entries.items()})


def _failure(field: Field) -> Failure:
    entries = field.fields("status", "type", "message", "headers")
    if "status" not in entries:
        field.fail("has no status; give one such as 529")
    status = entries["status"].whole(400, 599)
    return Failure(
        status=status,
        type=optional(entries, "type", Field.text, TYPE_OF_STATUS.get(status, "api_error")),
        message=optional(entries, "message", Field.text, Failure(status=status).message),
        headers=optional(entries, "headers", _headers, {}),
    )


def _stream_error(field: Field) -> StreamError:
    entries = field.fields("type", "message")
    standard = StreamError()
    return StreamError(
        type=optional(entries, "type", Field.text, standard.type),
        message=optional(entries, "message", Field.text, standard.message),
    )


def _malformed(field: Field) -> Malformed | None:
    return Malformed() if field.truth() else None


def _where(field: Field) -> Where:
    return cast(Where, field.one_of("before_headers", "mid_stream"))


_FAULTS: Final[Mapping[str, Callable[[Field], Fault | None]]] = {
    "error": _failure,
    "hang": lambda field: Hang(where=_where(field)),
    "cut_off": lambda field: CutOff(where=_where(field)),
    "stream_error": _stream_error,
    "malformed": _malformed,
}


def _count(field: Field) -> int:
    return field.whole(1)


def _mapping(field: Field) -> Mapping[str, object]:
    return {key: entry.value() for key, entry in field.entries().items()}


def _headers(field: Field) -> Mapping[str, str]:
    headers = field.entries()
    for name, entry in headers.items():
        value = entry.value()
        if isinstance(value, int) and not isinstance(value, bool):
            continue
        if not isinstance(value, str) or not (name + value).isascii() or not (name + value).isprintable():
            entry.fail("must be a number or a text of printable ASCII characters")
    return {name: str(entry.value()) for name, entry in headers.items()}


def _pattern(field: Field) -> str:
    text = field.text()
    try:
        re.compile(text)
    except re.error as error:
        field.fail(f"is not a regular expression: {error}")
    return text
