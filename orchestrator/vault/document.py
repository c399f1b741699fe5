"""Profile documents: bytes to a profile, or everything that is wrong with them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.domain.modes import DEFAULT_HARNESS, HARNESSES
from orchestrator.domain.profile import AgentProfile
from orchestrator.vault import front_matter, json_block, profile_fields, sections
from orchestrator.vault.front_matter import FrontMatter
from orchestrator.vault.guarded_yaml import Bare
from orchestrator.vault.problem import (
    MOST_PROBLEMS,
    Findings,
    Problem,
    Rejected,
    did_you_mean,
    in_order,
    shown,
)
from orchestrator.vault.sections import DATA_SECTIONS, PROMPT_SECTIONS, Section

MOST_BYTES: Final = 1024 * 1024
"""Size of a document; with three prompt parts of 4,000 characters a profile needs a fraction of it."""

BOM: Final = b"\xef\xbb\xbf"

MOST_PROMPT_UNITS: Final = 4_000
"""Length of each prompt part, in UTF-16 units as the specification's clients count."""

VERBATIM: Final = "prompt"
"""Tag of a fenced block that makes up a whole prompt part: its text is the instruction as it was given."""

_FRONT_KEYS: Final = ("id", "name", "description", "tags", "harness")
_ELSEWHERE: Final = {
    "tools": "Tools",
    "model": "Config",
    "permissionMode": "Config",
    "mcpServers": "MCP Servers",
}
"""Front-matter keys of other agent formats, and the section that says it here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """A usable document.

    `inline_servers` are definitions of an old document, by name. `text` is the document as decoded, without
    the byte order mark it may have; the offsets of `front` and `sections` point into it.
    """

    profile: AgentProfile
    warnings: tuple[Problem, ...] = ()
    inline_servers: Mapping[str, Any] = field(default_factory=dict)
    text: str = field(default="", repr=False)
    bom: bool = False
    front: FrontMatter = field(default_factory=FrontMatter)
    sections: tuple[Section, ...] = ()


def parse(
    data: bytes, *, profile_id: str, overlay: bool = False, known_tools: Collection[str] = ()
) -> Parsed | Rejected:
    """Read a profile document. Never raises, whatever the bytes are.

    `profile_id` is what the document's place says. `overlay` is for a project's document, whose absent
    harness is inherited. `known_tools` are tools beyond the built-in ones, by canonical name.
    """
    findings = Findings()
    text = decode(data, findings)
    front = front_matter.read(text, findings) if text is not None else None
    if text is None or front is None:
        return findings.rejected()
    found = sections.read(text, front.body, findings)
    if not front.present and not any(section.known for section in found) and not findings.errors:
        findings.error("this is not a profile: it has neither front matter nor a section that is read")
    by_title = {section.title: section for section in reversed(found)}
    fields = _front_fields(front, profile_id, findings)
    harness = fields["harness"] or (None if overlay else DEFAULT_HARNESS)
    more, inline = _data_fields(text, by_title, harness, known_tools, findings)
    suffix = _suffix(text, by_title, findings)
    if findings.errors:
        return findings.rejected()
    return Parsed(
        profile=AgentProfile(**fields, **more, system_prompt_suffix=suffix),
        warnings=in_order(findings.warnings),
        inline_servers=inline,
        text=text,
        bom=data.startswith(BOM),
        front=front,
        sections=found,
    )


def decode(data: bytes, findings: Findings) -> str | None:
    """The text of a document without its byte order mark; `None` (and an error) for what cannot be one."""
    if len(data) > MOST_BYTES:
        findings.error(f"the file is larger than {MOST_BYTES // 1024} KiB")
        return None
    try:
        text = data.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        findings.error("the file is not UTF-8", error.object.count(b"\n", 0, error.start) + 1)
        return None
    nul = text.find("\x00")
    if nul >= 0:
        findings.error("the file contains a NUL character", text.count("\n", 0, nul) + 1)
        return None
    if not text.strip("\ufeff \t\r\n"):
        # An editor that writes in two steps leaves such a file for a moment; it must not lift restrictions.
        findings.error("the file is empty")
        return None
    return text


def _front_fields(front: FrontMatter, profile_id: str, findings: Findings) -> dict[str, Any]:
    for key in list(front.values)[:MOST_PROBLEMS]:
        line = front.lines.get(key)
        if key in _ELSEWHERE:
            findings.warn(f"front matter: {key} is not read here; use ## {_ELSEWHERE[key]}", line)
        elif key not in _FRONT_KEYS:
            hint = did_you_mean(key, _FRONT_KEYS)
            if hint:
                findings.warn(f"front matter: {shown(key)} is not read{hint}", line)
    given = front.text("id", findings)
    if given is not None and given != profile_id:
        message = f"front matter: id {shown(given)} differs from the directory's name '{profile_id}'"
        findings.error(message, front.lines.get("id"))
    harness = front.text("harness", findings)
    if harness is not None and harness not in HARNESSES:
        message = f"front matter: harness {shown(harness)} is not one of {', '.join(HARNESSES)}"
        findings.error(f"{message}{did_you_mean(harness, HARNESSES)}", front.lines.get("harness"))
    return {
        "id": profile_id,
        "name": front.text("name", findings) or profile_id,
        "description": front.text("description", findings) or "",
        "tags": _tags(front, findings),
        "harness": harness,
    }


def _tags(front: FrontMatter, findings: Findings) -> tuple[str, ...]:
    value = front.values.get("tags")
    items = value if isinstance(value, list) else [] if value is None else [value]
    tags = [item.text if isinstance(item, Bare) else item for item in items]
    texts = [tag for tag in tags if isinstance(tag, str)]
    if len(texts) != len(tags):
        findings.error("front matter: tags must be a list of texts", front.lines.get("tags"))
    return tuple(tag.strip() for tag in texts if tag.strip())


def _data_fields(
    text: str,
    by_title: Mapping[str, Section],
    harness: str | None,
    known_tools: Collection[str],
    findings: Findings,
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    fields: dict[str, Any] = {}
    inline: Mapping[str, Any] = {}
    for title in DATA_SECTIONS:
        section = by_title.get(title)
        block = json_block.block_of(section) if section is not None else None
        value = json_block.read(text, section, findings) if section is not None else json_block.ABSENT
        if block is None or value is json_block.ABSENT:
            continue
        if title == "Config":
            fields |= profile_fields.read_config(value, harness, block.line, findings)
        elif title == "Tools":
            fields |= profile_fields.read_tools(value, known_tools, block.line, findings)
        elif title == "MCP Servers":
            servers, inline = profile_fields.read_servers(value, block.line, findings)
            fields |= servers
        else:
            fields |= profile_fields.read_install(value, block.line, findings)
    return fields, inline


def _suffix(text: str, by_title: Mapping[str, Section], findings: Findings) -> str | None:
    """Role, rules and reflection with their headings; a lone verbatim role is the suffix itself."""
    parts: list[str] = []
    for title in PROMPT_SECTIONS:
        section = by_title.get(title)
        if section is None:
            continue
        verbatim = verbatim_of(text, section)
        part = verbatim if verbatim is not None else _unix(text, section.body, section.end).strip()
        units = len(part.encode("utf-16-le")) // 2
        if units > MOST_PROMPT_UNITS:
            message = f"## {title} has {units} characters; at most {MOST_PROMPT_UNITS} are accepted"
            findings.error(message, section.line)
        if part:
            parts.append(part if verbatim is not None else f"## {title}\n{part}")
    return "\n\n".join(parts) or None


def verbatim_of(text: str, section: Section) -> str | None:
    """The text of a prompt part that was given as it is; `None` for ordinary prose.

    Such a part is one fenced block tagged `prompt` and nothing else. It carries no heading, and its white
    space is kept.
    """
    if len(section.fences) != 1 or section.fences[0].tag != VERBATIM:
        return None
    fence = section.fences[0]
    around = text[section.body : fence.outer_start] + text[fence.outer_end : section.end]
    return None if around.strip() else _unix(text, fence.start, fence.end).removesuffix("\n")


def _unix(text: str, start: int, end: int) -> str:
    """A piece of the document with plain line ends, when the document has those of Windows."""
    piece = text[start:end]
    first = text.find("\n")
    return piece.replace("\r\n", "\n") if first > 0 and text[first - 1] == "\r" else piece
