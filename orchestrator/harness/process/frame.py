"""Framing: bytes of a child's output in, one record per line out; pure."""

import json
import math
from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]
"""A line that was a JSON object."""

MESSAGE_LIMIT = 64 << 20
"""The longest line delivered, in bytes. Seen: 3 MB for an answer, 1.3 MB for a picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotJson:
    """A line that is not a JSON object: a stray print of the agent, a warning of its runtime."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Oversized:
    """In place of a line longer than the limit, which was dropped."""

    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Truncated:
    """What stood after the last line break when the output ended: the agent died while writing."""

    text: str


Item = Message | NotJson | Oversized | Truncated


class Framer:
    """Cuts a stream into lines, whatever the chunks it arrives in.

    Lines are cut as bytes and decoded whole: no byte of a multi-byte UTF-8 sequence is a line break, so a
    character split between two chunks needs no care. Invalid UTF-8 becomes U+FFFD; no input raises.
    """

    def __init__(self, limit: int = MESSAGE_LIMIT) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = 0
        self._dropping = False

    def feed(self, chunk: bytes) -> list[Item]:
        """The lines that this chunk completes; blank ones are skipped."""
        head, *lines = chunk.split(b"\n")
        self._hold(head)
        if not lines:
            return []
        items = []
        first = self._take()
        if first is not None:
            items.append(first)
        rest = lines.pop()
        limit = self._limit
        for line in lines:
            if len(line) > limit:
                items.append(Oversized(bytes=len(line)))
            elif line and not line.isspace():
                items.append(parse(line))
        self._hold(rest)
        return items

    def finish(self) -> list[Item]:
        """What the end of the stream leaves: nothing, or one `Truncated` (or `Oversized`)."""
        if self._dropping:
            return [oversized] if (oversized := self._take()) is not None else []
        rest = b"".join(self._parts)
        self._parts, self._held = [], 0
        return [Truncated(text=rest.decode("utf-8", "replace"))] if rest.strip() else []

    def _hold(self, part: bytes) -> None:
        """Keep a piece of an unfinished line; past the limit, only its length."""
        self._held += len(part)
        if self._held > self._limit:
            self._parts.clear()
            self._dropping = True
        elif part:
            self._parts.append(part)

    def _take(self) -> Item | None:
        line, size, dropped = b"".join(self._parts), self._held, self._dropping
        self._parts, self._held, self._dropping = [], 0, False
        if dropped:
            return Oversized(bytes=size)
        return parse(line) if line and not line.isspace() else None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


# Python reads NaN and Infinity, and 1e999 as infinity; no other reader of what is stored would.
_decode = json.JSONDecoder(parse_float=_finite, parse_constant=lambda _: None).raw_decode


def parse(line: bytes) -> Message | NotJson:
    """One line as a message. What JSON allows and text storage does not, lone surrogates, becomes U+FFFD;
    a number that is not finite becomes null, as JavaScript writes it."""
    text = line.decode("utf-8", "replace")
    try:
        value: Any
        value, end = _decode(text)
        if end != len(text) and not text[end:].isspace():
            return NotJson(text=text)
    except (ValueError, RecursionError):
        return _parse_padded(text)
    if type(value) is not dict:
        return NotJson(text=text)
    if "\\ud" in text or "\\uD" in text:
        try:
            value = _without_surrogates(value)
        except RecursionError:  # nested as deep as the decoder goes; walking it takes more room
            return NotJson(text=text)
    message: Message = value
    return message


def _parse_padded(text: str) -> Message | NotJson:
    """Again without white space or a byte order mark in front, which the quick way does not accept."""
    bare = text.lstrip("\ufeff \t\r")
    return NotJson(text=text) if bare == text else parse(bare.encode())


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        case dict():
            return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
        case list():
            return [_without_surrogates(item) for item in value]
        case _:
            return value
