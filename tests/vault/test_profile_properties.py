"""Whatever the bytes are, a document is read or refused."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.profile import AgentProfile
from orchestrator.vault import server_document
from orchestrator.vault.document import BOM, Parsed, parse
from orchestrator.vault.problem import Rejected

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [
        "model",
        "permission_mode",
        "max_turns",
        "timeout_seconds",
        "settings",
        "allowed",
        "denied",
        "npm",
        "pip",
    ]
)
BLOCKS = st.one_of(JSON, st.dictionaries(KEYS, JSON | st.lists(st.text(max_size=8), max_size=3), max_size=4))
LINES = st.one_of(
    st.sampled_from(
        ["---", "## Role", "## Tools", "## Config", "## MCP Servers", "```json", "```", "~~~", "# Tools", ""]
    ),
    st.text(max_size=30),
    BLOCKS.map(json.dumps),
)
DOCUMENTS = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(LINES, max_size=25).map(lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass")),
    st.lists(LINES, max_size=25).map(lambda lines: ("---\n" + "\r\n".join(lines)).encode(errors="replace")),
)


@settings(max_examples=400, deadline=None)
@given(DOCUMENTS)
def test_any_bytes_give_a_profile_or_errors(data: bytes) -> None:
    result = parse(data, profile_id="x")
    if isinstance(result, Rejected):
        assert result.errors
        return
    profile = result.profile
    assert profile.id == "x"
    assert profile.name
    json.dumps(profile.settings, allow_nan=False).encode()
    for names in (profile.allowed_tools, profile.denied_tools, profile.mcp_servers):
        assert names is None or all(name.strip() and "," not in name for name in names)
    for limit in (profile.max_turns, profile.max_budget_usd, profile.timeout_seconds):
        assert limit is None or limit > 0


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS)
def test_any_bytes_give_a_server_or_errors(data: bytes) -> None:
    result = server_document.parse(data, name="x")
    if isinstance(result, Rejected):
        assert result.errors
    else:
        assert result.server.command or result.server.url


@settings(max_examples=200, deadline=None)
@given(st.lists(LINES, max_size=25))
def test_line_ends_and_byte_order_marks_change_nothing(lines: list[str]) -> None:
    text = "\n".join(line.replace("\r", "").replace("\ufeff", "") for line in lines)
    data = text.encode("utf-8", "replace")

    def meaning(data: bytes) -> AgentProfile | None:
        result = parse(data, profile_id="x")
        return result.profile if isinstance(result, Parsed) else None

    assert meaning(data) == meaning(b"\xef\xbb\xbf" + data) == meaning(data.replace(b"\n", b"\r\n"))


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS)
def test_sections_and_front_matter_are_places_in_the_text(data: bytes) -> None:
    result = parse(data, profile_id="x")
    if isinstance(result, Parsed):
        assert (BOM if result.bom else b"") + result.text.encode() == data
        assert 0 <= result.front.start <= result.front.end <= result.front.body <= len(result.text)
        at = result.front.body
        for section in result.sections:
            assert at <= section.start < section.body <= section.end <= len(result.text)
            assert result.text.startswith("## ", section.start)
            for fence in section.fences:
                assert section.body <= fence.outer_start < fence.start <= fence.end < fence.outer_end
            at = section.end
