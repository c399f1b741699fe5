"""MCP servers to documents: a new one whole, one that is there only where it changes; pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from orchestrator.domain.mcp import McpServer
from orchestrator.vault.document import BOM
from orchestrator.vault.problem import Rejected
from orchestrator.vault.server_document import ParsedServer, parse
from orchestrator.vault.yaml_text import quoted, scalar

_FIELDS: Final = ("transport", "description", "command", "args", "env", "url", "headers")
_INDENT: Final = "  "

Value = str | tuple[str, ...] | Mapping[str, str] | None


class NotWritable(ValueError):
    """This server cannot be written as a document that says the same; the message says why."""


def render(server: McpServer, notes: str = "") -> bytes:
    """A new document. Raises NotWritable when reading it would not give the very same server."""
    lines = [f"name: {server.name}\n"]
    lines += [_field(name, getattr(server, name), "\n") for name in _FIELDS]
    body = f"\n{notes.rstrip()}\n" if notes.strip() else ""
    return _checked(f"---\n{''.join(lines)}---\n{body}", server, bom=False)


def edit(current: ParsedServer, wanted: McpServer, notes: str | None = None) -> bytes:
    """The document with the fields that differ changed, and every other byte as it was. `notes` replaces
    the body, `None` leaves it.

    Raises NotWritable when reading the result would not give `wanted`.
    """
    try:
        return _edited(current, wanted, notes, whole=False)
    except NotWritable:
        # Lines of a list or mapping were not what they seemed: the whole of it is written anew.
        return _edited(current, wanted, notes, whole=True)


def _edited(current: ParsedServer, wanted: McpServer, notes: str | None, *, whole: bool) -> bytes:
    front = current.front
    newline = "\r\n" if "\r\n" in current.text[: front.start] else "\n"
    inner = current.text[front.start : front.end]
    for name in _FIELDS:
        known, value = getattr(current.server, name), getattr(wanted, name)
        if known != value:
            inner = _with_field(inner, name, None if whole else known, value, newline)
    rest = current.text[front.end :]
    if notes is not None:
        body = f"{newline}{newline.join(notes.strip().splitlines())}{newline}" if notes.strip() else ""
        rest = f"---{newline}{body}"
    return _checked(current.text[: front.start] + inner + rest, wanted, bom=current.bom)


def _checked(text: str, wanted: McpServer, *, bom: bool) -> bytes:
    data = (BOM if bom else b"") + text.encode("utf-8", "surrogatepass")
    result = parse(data, name=wanted.name, project_id=wanted.project_id)
    if isinstance(result, Rejected):
        raise NotWritable("; ".join(problem.message for problem in result.errors))
    if result.server != wanted:
        raise NotWritable("the server has a value that a document cannot express")
    return data


def _field(name: str, value: Value, newline: str) -> str:
    """The lines of a field; none for a value that is not there."""
    if not value:
        return ""
    if isinstance(value, str):
        return f"{name}: {scalar(value)}{newline}"
    if isinstance(value, tuple):
        return f"{name}: [{', '.join(map(quoted, value))}]{newline}"
    entries = (f"{_INDENT}{_key(key)}: {quoted(text)}{newline}" for key, text in value.items())
    return f"{name}:{newline}{''.join(entries)}"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", key) else quoted(key)


def _with_field(inner: str, name: str, known: Value, value: Value, newline: str) -> str:
    region = _region(inner, name)
    if region is None:
        return inner + _field(name, value, newline)
    start, end = region
    there = inner[start:end]
    new = None
    if isinstance(known, tuple) and isinstance(value, tuple) and value:
        new = _with_items(there, known, value, newline)
    elif isinstance(known, Mapping) and isinstance(value, Mapping) and value:
        new = _with_entries(there, known, value, newline)
    return inner[:start] + (_field(name, value, newline) if new is None else new) + inner[end:]


def _region(inner: str, name: str) -> tuple[int, int] | None:
    """Where the lines of a top-level key begin and end; blank lines and comments after them are not its."""
    found = re.search(rf"^([\"']?){re.escape(name)}\1[ \t]*:", inner, re.MULTILINE)
    if found is None:
        return None
    at = end = _line_end(inner, found.start())
    while at < len(inner):
        after = _line_end(inner, at)
        line = inner[at:after]
        if line[0] in " \t" or line.startswith("- ") or line.rstrip() == "-":
            end = after if line.strip() else end
        elif line.strip() and line[0] != "#":
            break
        at = after
    return found.start(), end


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """Lines of a block: those of one entry, or what stands between entries (with `key` of `None`)."""

    text: str
    key: str | None = None
    indent: str = ""


def _with_entries(
    there: str, known: Mapping[str, str], wanted: Mapping[str, str], newline: str
) -> str | None:
    """A block mapping with only the entries changed that differ; `None` when its lines are not understood."""
    head, parts = _parts(
        there, re.compile(r"([ \t]+)(?:\"([^\"\\]*)\"|'([^']*)'|([^\s\"'#:{\[][^\s:]*))[ \t]*:(?:\s|$)")
    )
    if {part.key for part in parts if part.key is not None} != known.keys() or not known:
        return None
    lines = [head]
    for part in parts:
        if part.key is None or known[part.key] == wanted.get(part.key):
            lines.append(part.text)
        elif part.key in wanted:
            lines.append(f"{part.indent}{_key(part.key)}: {quoted(wanted[part.key])}{newline}")
    indent = next(part.indent for part in parts if part.key is not None)
    added = (
        f"{indent}{_key(key)}: {quoted(text)}{newline}" for key, text in wanted.items() if key not in known
    )
    return "".join([*lines, *added])


def _with_items(there: str, known: Sequence[str], wanted: Sequence[str], newline: str) -> str | None:
    """A block list with only the items changed that differ; `None` when its lines are not understood."""
    head, parts = _parts(there, re.compile(r"([ \t]*)(-)(?=\s)"))
    items = [part for part in parts if part.key is not None]
    if len(items) != len(known):
        return None
    before, after = _comments(parts)
    lines = [head]
    for what, i1, i2, j1, j2 in SequenceMatcher(None, known, wanted, autojunk=False).get_opcodes():
        if what == "equal":
            lines += [before[i] + items[i].text for i in range(i1, i2)]
        else:
            lines += before[i1:i2]
            lines += [f"{items[0].indent}- {quoted(item)}{newline}" for item in wanted[j1:j2]]
    return "".join([*lines, after])


def _comments(parts: Sequence[_Part]) -> tuple[list[str], str]:
    """What stands before each entry, and after the last one."""
    before, text = list[str](), ""
    for part in parts:
        if part.key is None:
            text += part.text
        else:
            before.append(text)
            text = ""
    return before, text


def _parts(there: str, entry: re.Pattern[str]) -> tuple[str, list[_Part]]:
    """The key's own line, and the lines below it, cut where entries of the first one's indent begin."""
    cut = _line_end(there, 0)
    head, parts = there[:cut], list[_Part]()
    indent: str | None = None
    for line in there[cut:].splitlines(keepends=True):
        found = entry.match(line)
        if found is not None and indent is None:
            indent = found[1]
        if found is not None and found[1] == indent:
            key = next(group for group in found.groups()[1:] if group is not None)
            parts.append(_Part(text=line, key=key, indent=found[1]))
        elif not line.strip() or line.lstrip().startswith("#") or not parts:
            parts.append(_Part(text=line))
        else:
            last = parts.pop()
            parts.append(_Part(text=last.text + line, key=last.key, indent=last.indent))
    return head, parts
