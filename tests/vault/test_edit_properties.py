"""Documents as people write them survive every edit: only lines of what was edited differ."""

from dataclasses import fields, replace
from difflib import SequenceMatcher
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.domain.manifest import InstallManifest
from orchestrator.domain.profile import AgentProfile
from orchestrator.vault.document import Parsed, parse
from orchestrator.vault.render import edit

SPACE = st.sampled_from(["", " ", "  "])
WORDS = st.sampled_from(
    ["", "Why these.", "  indented text", "- a list", "### A smaller heading", "> quoted"]
)
PROSE = st.lists(WORDS, max_size=3)
FENCED = '````text\n## Tools\n```json\n{"allowed": ["Bash"]}\n```\n````'

FRONT = {
    "id": "id:{}x",
    "name": "name:{} Nobody   # a comment",
    "description": "description:{} 'It''s: odd'",
    "tags": "tags:{}[ a , 'b' ]",
    "harness": "harness:{} claude",
    "other": "other:{}\n  nested: [1, 2] # kept\n  more: |\n    text",
}
"""Lines of front matter; a space is put where the braces are."""

MEMBERS = {
    "Config": {
        "model": '"m"',
        "permission_mode": '"plan"',
        "max_turns": "3",
        "max_tokens_per_task": "100000",
        "max_budget_usd": "1.50",
        "timeout_seconds": "60",
        "settings": '{"effort": "high"}',
        "unknown": "[1, 2]",
    },
    "Tools": {"allowed": '["Read", "Grep"]', "denied": '["Bash"]', "note": '"mine"'},
    "Install": {"npm": '["eslint"]', "pip": '["ruff"]', "commands": '["sh"]'},
}
SERVERS = ('["a"]', '[ "a",\n"c" ]', '["a",\n {"name": "c", "optional": true}]', '"none"')
CHANGES: dict[str, tuple[Any, ...]] = {
    "name": ("Other: name",),
    "description": ("new", ""),
    "tags": (("z",), ()),
    "harness": ("codex", None),
    "model": ("n", None),
    "permission_mode": ("default", None),
    "max_turns": (4, None),
    "max_tokens_per_task": (5000, None),
    "max_budget_usd": (2.5, None),
    "timeout_seconds": (90.0, None),
    "settings": ({"a": 1}, None),
    "allowed_tools": (("Edit",), (), None),
    "denied_tools": (("Write",), None),
    "mcp_servers": (("b",), (), None),
    "optional_servers": (("a",), None),
    "install": (InstallManifest(npm=("other",)), InstallManifest()),
    "system_prompt_suffix": ("## Role\nNew.", "## Role\nYou.\n\n## Rules\n- n", "plain", None),
}


@st.composite
def blocks(draw: st.DrawFn, members: dict[str, str]) -> str:
    """A JSON object, laid out in one of the ways people have."""
    chosen = draw(st.lists(st.sampled_from(sorted(members)), unique=True))
    separator = draw(st.sampled_from([", ", ",\n  ", " ,", ",\n\n\t"]))
    colon = draw(st.sampled_from([":", ": ", " :  "]))
    inner = separator.join(f'"{name}"{colon}{members[name]}' for name in chosen)
    lead, tail = draw(st.sampled_from([("", ""), (" ", " "), ("\n  ", "\n")]))
    return f"{{{lead}{inner}{tail}}}"


@st.composite
def sections(draw: st.DrawFn) -> str:
    title = draw(
        st.sampled_from(["Config", "Tools", "Install", "MCP Servers", "Role", "Rules", "Notes", "X"])
    )
    heading = "##" + " " * draw(st.integers(1, 2)) + draw(st.sampled_from([title, title.upper()]))
    prose = "\n".join(draw(PROSE))
    if title in ("Role", "Rules"):
        return f"{heading}\n\n{prose}\nYou.  \n\n"
    if title in ("Notes", "X"):
        return f"{heading}\n{prose}\n{FENCED}\n"
    block = draw(st.sampled_from(SERVERS)) if title == "MCP Servers" else None
    block = block or draw(blocks(MEMBERS[title]))
    tail = draw(st.sampled_from(["", "After.", "\n"]))
    return f"{heading}\n{prose}\n```json\n{block}\n```\n{tail}\n"


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    keys = draw(st.lists(st.sampled_from(sorted(FRONT)), unique=True))
    lines = [FRONT[key].format(draw(SPACE) + " " if key == "id" else " ") for key in keys]
    comment = draw(st.sampled_from(["", "# by hand\n", "\n"]))
    front = "---\n" + comment + "".join(f"{line}\n" for line in lines) + "---\n"
    found = draw(st.lists(sections(), max_size=6))
    by_title = {section.split("\n")[0].strip("# ").casefold(): section for section in found}
    text = front + draw(st.sampled_from(["", "\n# Title\n\nFree.\n"])) + "".join(by_title.values())
    if draw(st.booleans()):
        text = text.rstrip("\n") + draw(st.sampled_from(["", "\n"]))
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode()


def read(data: bytes) -> Parsed | None:
    result = parse(data, profile_id="x", overlay=True)
    return result if isinstance(result, Parsed) else None


def pieces(data: bytes) -> dict[str, list[bytes]]:
    """The lines of the document by section; those before the first one are under an empty title."""
    parsed = read(data)
    assert parsed is not None
    found = {section.title: (section.start, section.end) for section in parsed.sections}
    first = min((start for start, _ in found.values()), default=len(parsed.text))
    found[""] = (0, first)
    return {title: parsed.text[start:end].encode().splitlines(True) for title, (start, end) in found.items()}


def touched(field: str) -> set[str]:
    """Where a field stands."""
    match field:
        case "name" | "description" | "tags" | "harness":
            return {""}
        case "allowed_tools" | "denied_tools":
            return {"Tools"}
        case "mcp_servers" | "optional_servers":
            return {"MCP Servers"}
        case "install":
            return {"Install"}
        case "system_prompt_suffix":
            return {"Role", "Rules", "Reflection"}
        case _:
            return {"Config"}


def test_every_field_is_tried() -> None:
    assert CHANGES.keys() == {field.name for field in fields(AgentProfile)} - {"id"}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_only_lines_of_the_field_differ(data: bytes) -> None:
    parsed = read(data)
    if parsed is None:
        return
    before = pieces(data)
    for field, values in CHANGES.items():
        for value in values:
            wanted: AgentProfile = replace(parsed.profile, **{field: value})
            after = edit(parsed, wanted)
            if wanted == parsed.profile:
                assert after == data
                continue
            assert after.startswith(b"\xef\xbb\xbf") == data.startswith(b"\xef\xbb\xbf")
            _others_are_equal(before, pieces(after), touched(field))
            if field != "system_prompt_suffix":
                _few_lines_differ(data, after)


def _others_are_equal(before: dict[str, list[bytes]], after: dict[str, list[bytes]], own: set[str]) -> None:
    last = list(before)[-2] if len(before) > 1 else ""
    for title in before.keys() - own:
        lines = after[title]
        if title == last and lines != before[title]:
            # A section that is added after a file's last line needs a line end, and a blank line, before it.
            assert b"".join(lines).rstrip() == b"".join(before[title]).rstrip()
        else:
            assert lines == before[title]
    assert after.keys() - own <= before.keys()


def _few_lines_differ(before: bytes, after: bytes) -> None:
    """A value stands on one line here, or on two; a section that is added has five and a blank one."""
    old, new = before.splitlines(True), after.splitlines(True)
    removed = added = 0
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            removed, added = removed + b - a, added + d - c
    assert removed <= 6
    assert added <= 7
