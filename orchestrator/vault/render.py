"""Profiles to documents: a new one whole, one that is there only where it changes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from orchestrator.domain.profile import AgentProfile
from orchestrator.vault import front_matter, json_block, json_edit, sections
from orchestrator.vault.document import BOM, VERBATIM, Parsed, parse
from orchestrator.vault.problem import Findings
from orchestrator.vault.profile_fields import LIMITS, NONE
from orchestrator.vault.sections import PROMPT_SECTIONS, Section
from orchestrator.vault.yaml_text import quoted, scalar

_CONFIG: Final = ("model", "permission_mode", *LIMITS, "settings")
_FRONT: Final = ("name", "description", "tags", "harness")


class NotWritable(ValueError):
    """This profile cannot be written as a document that says the same."""


def render(profile: AgentProfile) -> bytes:
    """A new document. Raises NotWritable when reading it would not give the very same profile."""
    title = f"# {profile.name}\n" if profile.name.isprintable() else ""
    text = f"---\nid: {profile.id}\n---\n\n{title}"
    return edit(Parsed(profile=AgentProfile(id=profile.id, name=profile.id), text=text), profile)


def edit(current: Parsed, wanted: AgentProfile) -> bytes:
    """The document with the fields that differ changed, and every other byte as it was.

    Raises NotWritable when reading the result would not give `wanted`.
    """
    wanted = _consistent(wanted)
    text = current.text
    newline = "\r\n" if "\r\n" in text[: text.find("\n") + 1] else "\n"
    if wanted.system_prompt_suffix != current.profile.system_prompt_suffix:
        text = _with_suffix(text, wanted.system_prompt_suffix, newline)
    for name in (*_FRONT, *_CONFIG, "allowed_tools", "denied_tools", "mcp_servers", "install"):
        if _differs(name, current.profile, wanted):
            text = _with_field(text, wanted, name, newline)
    data = (BOM if current.bom else b"") + text.encode("utf-8", "surrogatepass")
    result = parse(data, profile_id=wanted.id, overlay=True)
    if not isinstance(result, Parsed):
        raise NotWritable("; ".join(str(problem) for problem in result.errors))
    if result.profile != wanted:
        raise NotWritable("the profile has a value that a document cannot express")
    return data


def _consistent(wanted: AgentProfile) -> AgentProfile:
    """Only a server that is listed can be optional: whoever changes the list need not think of it."""
    listed = wanted.mcp_servers or ()
    optional = tuple(name for name in listed if name in (wanted.optional_servers or ()))
    return replace(wanted, optional_servers=optional or None)


def _differs(name: str, known: AgentProfile, wanted: AgentProfile) -> bool:
    names = (name, "optional_servers") if name == "mcp_servers" else (name,)
    return any(getattr(wanted, one) != getattr(known, one) for one in names)


def _with_field(text: str, wanted: AgentProfile, name: str, newline: str) -> str:
    value = getattr(wanted, name)
    if name in _FRONT:
        absent = not value or (name == "name" and value == wanted.id)
        return _with_front(text, name, None if absent else _yaml(value), newline)
    if name in _CONFIG:
        return _with_data(text, "Config", {name: value or None}, newline)
    if name == "install":
        lists = value.to_dict()
        return _with_data(
            text, "Install", {key: lists.get(key) for key in ("npm", "pip", "commands")}, newline
        )
    listed = None if value is None else list(value) or NONE
    if name == "mcp_servers":
        optional = wanted.optional_servers or ()
        marked = [{"name": item, "optional": True} if item in optional else item for item in value or ()]
        return _with_block(text, "MCP Servers", lambda _: json_edit.dumps(marked or listed or []), newline)
    return _with_data(text, "Tools", {name.removesuffix("_tools"): listed}, newline)


def _with_front(text: str, key: str, value: str | None, newline: str) -> str:
    front = front_matter.read(text, Findings())
    line = "" if value is None else f"{key}: {value}{newline}"
    if front is None or not front.present:
        return text if value is None else f"---{newline}{line}---{newline}{newline}{text}"
    inner = text[front.start : front.end]
    # The key's line and those that continue it: indented, blank, or items of its list.
    known = re.compile(rf"^{re.escape(key)}[ \t]*:[^\n]*\n(?:(?:[ \t]+[^\n]*|- [^\n]*)\n)*", re.MULTILINE)
    if known.search(inner):
        inner = known.sub(lambda _: line, inner, count=1)
    else:
        inner += line
    return text[: front.start] + inner + text[front.end :]


def _yaml(value: str | tuple[str, ...]) -> str:
    if isinstance(value, str):
        return scalar(value)
    return f"[{', '.join(scalar(item) if item.isalnum() else quoted(item) for item in value)}]"


def _with_data(text: str, title: str, values: Mapping[str, Any], newline: str) -> str:
    def change(block: str) -> str:
        block = block if block.strip() else "{}"
        for key, value in values.items():
            if value is None:
                block = json_edit.without_member(block, key)
            else:
                block = json_edit.with_member(block, key, value)
        return block

    return _with_block(text, title, change, newline)


def _with_block(text: str, title: str, change: Callable[[str], str], newline: str) -> str:
    """Change the text of a section's `json` block; section and block are added when they are missing."""
    section = _section(text, title)
    block = json_block.block_of(section) if section is not None else None
    if block is not None:
        inner = text[block.start : block.end]
        core = inner.strip()
        return text[: block.start] + inner.replace(core, change(core), 1) + text[block.end :]
    fenced = f"```json{newline}{change('')}{newline}```{newline}"
    if section is not None:
        head = text[: section.body]
        return (head if head.endswith("\n") else head + newline) + fenced + text[section.body :]
    return _appended(text, f"## {title}{newline}{fenced}", newline)


def _appended(text: str, section: str, newline: str) -> str:
    if text and not text.endswith("\n"):
        text += newline
    gap = "" if not text or text.endswith(newline * 2) else newline
    return text + gap + section


def _with_suffix(text: str, suffix: str | None, newline: str) -> str:
    parts = {} if suffix is None else _parts(suffix)
    for title in PROMPT_SECTIONS:
        section = _section(text, title)
        part = parts.get(title)
        body = None if part is None else part.replace("\n", newline) + newline
        if section is None:
            text = text if body is None else _appended(text, f"## {title}{newline}{body}", newline)
        elif body is None:
            text = text[: section.start] + text[section.end :]
        else:
            gap = newline if section.end < len(text) else ""
            heading = text[section.start : section.body]
            heading = heading if heading.endswith("\n") else heading + newline
            text = text[: section.start] + heading + body + gap + text[section.end :]
    return text


def _parts(suffix: str) -> dict[str, str]:
    """The prompt sections that make up this suffix, or a role that holds it verbatim."""
    read = parse(suffix.encode("utf-8", "surrogatepass"), profile_id="x")
    if isinstance(read, Parsed):
        same = read.profile == AgentProfile(id="x", name="x", system_prompt_suffix=suffix)
        if same and all(section.title in PROMPT_SECTIONS for section in read.sections):
            found = {section.title: suffix[section.body : section.end].strip() for section in read.sections}
            if not any(fence.tag == VERBATIM for section in read.sections for fence in section.fences):
                return found
    longest = max((len(run) for run in re.findall(r"`+", suffix)), default=0)
    fence = "`" * max(3, longest + 1)
    return {"Role": f"{fence}{VERBATIM}\n{suffix}\n{fence}"}


def _section(text: str, title: str) -> Section | None:
    front = front_matter.read(text, Findings())
    found = sections.read(text, front.body if front is not None else 0, Findings())
    return next((section for section in found if section.title == title), None)
