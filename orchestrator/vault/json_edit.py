"""Changing one member of a JSON object in its text, and nothing else of it."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

_BLANK: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder()


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A member of an object: where its key and its value begin, and where the value ends."""

    key: str
    start: int
    value: int
    end: int


def dumps(value: Any) -> str:
    """JSON as people write it; characters are escaped only where they must be."""
    return json.dumps(value, ensure_ascii=False)


def members(text: str) -> list[Member]:
    """The members of the object that the text holds. Raises ValueError when it holds none."""
    found: list[Member] = []
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        raise ValueError("not an object")
    at = _skip(text, at + 1)
    while text[at : at + 1] == '"':
        key, after = _DECODER.raw_decode(text, at)
        value = _skip(text, _skip(text, after) + 1)
        _, end = _DECODER.raw_decode(text, value)
        found.append(Member(key=key, start=at, value=value, end=end))
        at = _skip(text, end)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
    return found


def with_member(text: str, key: str, value: Any) -> str:
    """The object with this member set: in its place, or as the last one."""
    known = members(text)
    for member in known:
        if member.key == key:
            return text[: member.value] + dumps(value) + text[member.end :]
    new = f"{dumps(key)}: {dumps(value)}"
    if not known:
        at = text.index("{") + 1
        return text[:at] + new + text[at:].lstrip()
    last = known[-1]
    # Between the last two, or before the only one, stands how this object is laid out.
    gap = text[known[-2].end : last.start].partition(",")[2] if len(known) > 1 else _lead(text, last)
    return f"{text[: last.end]},{gap}{new}{text[last.end :]}"


def without_member(text: str, key: str) -> str:
    """The object without this member."""
    known = members(text)
    for index, member in enumerate(known):
        if member.key != key:
            continue
        if index + 1 < len(known):
            return text[: member.start] + text[known[index + 1].start :]
        start = known[index - 1].end if index else member.start
        return text[:start] + text[member.end :]
    return text


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _lead(text: str, only: Member) -> str:
    gap = text[text.index("{") + 1 : only.start]
    return gap if "\n" in gap else " "
