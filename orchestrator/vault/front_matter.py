"""The YAML between `---` lines at the start of a document."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from orchestrator.vault.guarded_yaml import Bare, Unreadable, Value, load
from orchestrator.vault.problem import Findings, shown

_OPENING: Final = re.compile(r"\s*---[ \t]*\r?(?:\n|\Z)")
_CLOSING: Final = re.compile(r"^---[ \t]*\r?(?:\n|\Z)", re.MULTILINE)
_KEY_LINE: Final = re.compile(r"([A-Za-z_][\w-]*):(?:[ \t]+(.*))?$")

MOST_RECOVERED: Final = 100
"""Keys of front matter that is read key by key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontMatter:
    """Values by key, the line each stands on, and where text and body are in the document."""

    values: Mapping[str, Value] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    start: int = 0
    end: int = 0
    body: int = 0
    present: bool = False

    def text(self, key: str, findings: Findings) -> str | None:
        """The value of a key that holds one text; absent, null and blank are `None`."""
        value = self.values.get(key)
        if isinstance(value, Bare):
            value = value.text
        if value is None:
            return None
        if not isinstance(value, str):
            findings.error(f"front matter: {key} must be text", self.lines.get(key))
            return None
        return value.strip() or None


def read(text: str, findings: Findings) -> FrontMatter | None:
    """The front matter of a document; empty when it has none, `None` (and an error) when it is unusable."""
    opening = _OPENING.match(text)
    if opening is None:
        return FrontMatter()
    start = opening.end()
    first_line = text.count("\n", 0, start) + 1
    closing = _CLOSING.search(text, start)
    if closing is None:
        findings.error("front matter is not closed: there is no second '---' line", max(1, first_line - 1))
        return None
    inner = text[start : closing.start()]
    values = _values(inner, first_line, findings)
    if values is None:
        return None
    lines = {key: first_line + offset for offset, key in _key_lines(inner)}
    end = closing.start()
    return FrontMatter(values=values, lines=lines, start=start, end=end, body=closing.end(), present=True)


def _values(inner: str, first_line: int, findings: Findings) -> dict[str, Value] | None:
    try:
        value = load(inner)
    except Unreadable as problem:
        recovered = _key_by_key(inner) if problem.syntax else None
        if recovered is None:
            findings.error(
                f"front matter is not valid YAML: {problem.message}", first_line + problem.line - 1
            )
            return None
        values, unquoted = recovered
        for offset, key in unquoted:
            findings.warn(
                f"front matter: the value of {key} contains ': ' and should be quoted", first_line + offset
            )
        return values
    if value is None:
        return {}
    if not isinstance(value, dict):
        kind = "a list" if isinstance(value, list) else "text"
        findings.error(f"front matter must be a mapping of keys to values, got {kind}", first_line)
        return None
    return value


def _key_by_key(inner: str) -> tuple[dict[str, Value], list[tuple[int, str]]] | None:
    """Read each top-level key by itself, taking a value that contains an unquoted `: ` as it stands.

    `None` when that is not what is wrong. The numbers say on which line each such value begins.
    """
    values: dict[str, Value] = {}
    unquoted: list[tuple[int, str]] = []
    chunks = _chunks(inner)
    if len(chunks) > MOST_RECOVERED:
        return None
    for offset, lines in chunks:
        match = _KEY_LINE.match(lines[0])
        if match is None or match[1] in values:
            return None
        try:
            chunk = load("\n".join(lines))
        except Unreadable as problem:
            rest = " ".join(part.strip() for part in (match[2] or "", *lines[1:])).strip()
            if not problem.syntax or ": " not in rest or rest[0] in "'\"[{|>":
                return None
            values[match[1]] = rest
            unquoted.append((offset, shown(match[1])))
        else:
            if not isinstance(chunk, dict):
                return None
            values.update(chunk)
    return (values, unquoted) if unquoted else None


def _chunks(inner: str) -> list[tuple[int, list[str]]]:
    """Each top-level line with the lines that continue it, and its number from 0."""
    chunks: list[tuple[int, list[str]]] = []
    for number, raw in enumerate(inner.split("\n")):
        line = raw.rstrip("\r")
        if not line.strip() or line.startswith("#"):
            continue
        if chunks and (line[0] in " \t" or line.startswith("- ")):
            chunks[-1][1].append(line)
        else:
            chunks.append((number, [line]))
    return chunks


def _key_lines(inner: str) -> list[tuple[int, str]]:
    found = []
    for number, raw in enumerate(inner.split("\n")):
        key, colon, _ = raw.partition(":")
        if colon and key and key[0] not in " \t#":
            found.append((number, key.strip().strip("'\"")))
    return found
