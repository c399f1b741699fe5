"""The JSON of a section: strict, with its errors placed in the file."""

import json
import re
from typing import Any, Final

from orchestrator.vault.problem import Findings, shown
from orchestrator.vault.sections import Fence, Section

ABSENT: Final = object()
"""The section has no `json` block, or an unusable one: nothing is to be read from it."""

MOST_LEVELS: Final = 32

MOST_CHARACTERS: Final = 256 * 1024
"""Of one block: longer ones are no part of a profile, and take a tenth of a second to look through."""

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")

_NAMES: Final = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}


def kind_of(value: object) -> str:
    """What JSON calls a value, for messages."""
    return _NAMES.get(type(value), "number")


def block_of(section: Section) -> Fence | None:
    """The block that is read: the first one tagged `json`."""
    return next((fence for fence in section.fences if fence.tag == "json"), None)


def read(text: str, section: Section, findings: Findings) -> Any:
    """The value of the section's first `json` block, or `ABSENT`."""
    blocks = [fence for fence in section.fences if fence.tag == "json"]
    if not blocks:
        findings.warn(f"## {section.title} has no ```json block; nothing is read from it", section.line)
        return ABSENT
    for block in blocks[1:]:
        findings.warn(f"only the first ```json block of ## {section.title} is read", block.line - 1)
    block = blocks[0]
    if block.end - block.start > MOST_CHARACTERS:
        findings.error(
            f"the ```json block of ## {section.title} is larger than {MOST_CHARACTERS // 1024} KiB",
            block.line,
        )
        return ABSENT
    try:
        value = json.loads(
            text[block.start : block.end], object_pairs_hook=_object, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        message = f"Invalid JSON in ## {section.title}: {error.msg}"
        findings.error(message, block.line + error.lineno - 1, error.colno)
        return ABSENT
    except RecursionError:
        message = f"Invalid JSON in ## {section.title}: nested deeper than {MOST_LEVELS} levels"
        findings.error(message, block.line)
        return ABSENT
    except ValueError as error:
        findings.error(f"Invalid JSON in ## {section.title}: {_first_line(error)}", block.line)
        return ABSENT
    problem = _unstorable(value)
    if problem:
        findings.error(f"Invalid JSON in ## {section.title}: {problem}", block.line)
        return ABSENT
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the key {shown(name)} stands there twice")
            seen.add(name)
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _first_line(error: ValueError) -> str:
    # Python refuses to convert integers of thousands of digits, with advice that is for programmers.
    text = str(error)
    return "a number is too long" if text.startswith("Exceeds the limit") else text.splitlines()[0]


def _unstorable(value: Any) -> str | None:
    """Why a database could not keep this value, or an agent not be told it."""
    stack: list[tuple[Any, int]] = [(value, 1)]
    while stack:
        item, level = stack.pop()
        if level > MOST_LEVELS:
            return f"nested deeper than {MOST_LEVELS} levels"
        if isinstance(item, dict):
            stack.extend((key, level) for key in item)
            stack.extend((inner, level + 1) for inner in item.values())
        elif isinstance(item, list):
            stack.extend((inner, level + 1) for inner in item)
        elif isinstance(item, str):
            if _UNSTORABLE.search(item):
                return "a string contains a NUL character or half of a surrogate pair"
        elif isinstance(item, float) and item in (float("inf"), float("-inf")):
            return "a number is too large"
    return None
