"""Profile documents: what each part means, and what is said of each mistake."""

import time
from dataclasses import fields
from typing import Any

import pytest

from orchestrator.domain.manifest import InstallManifest
from orchestrator.domain.profile import MERGED_FIELDS, AgentProfile
from orchestrator.vault.document import MOST_BYTES, Parsed, parse
from orchestrator.vault.problem import Rejected

COMPLETE = """\
---
id: reviewer
name: Code Reviewer
description: Read-only code review
tags: [profile, agent-type]
harness: claude
color: blue
---

# Code Reviewer

Free text.

## Role
You review code.

## Config
```json
{"model": "claude-sonnet-4-5", "permission_mode": "plan", "max_tokens_per_task": 100000, "max_turns": 30,
 "max_budget_usd": 2.5, "timeout_seconds": 600, "settings": {"effort": "high"}}
```

## Tools
Only to read.
```json
{"allowed": ["Read", "Glob", "mcp__agent-queue__create_task", "mcp__linter__run"], "denied": ["WebFetch"]}
```

## MCP Servers
```json
["linter", {"name": "search", "optional": true}]
```

## Rules
- Be kind.

### Not a section
- Be exact.

## Reflection
- Am I sure?

## Install
```json
{"npm": ["eslint-mcp", "@eslint/mcp@1.2.3"], "pip": ["ruff>=0.4"], "commands": ["npx"]}
```

## Notes
Kept, not read.
"""


def read(text: str, **options: Any) -> AgentProfile:
    result = parse(text.encode(), profile_id="reviewer", **options)
    assert isinstance(result, Parsed), result.errors
    return result.profile


def errors(text: str | bytes, **options: Any) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    result = parse(data, profile_id="reviewer", **options)
    assert isinstance(result, Rejected)
    return [str(problem) for problem in result.errors]


def warnings(text: str, **options: Any) -> list[str]:
    result = parse(text.encode(), profile_id="reviewer", **options)
    assert isinstance(result, Parsed), result.errors
    return [str(problem) for problem in result.warnings]


def section(title: str, json: str) -> str:
    return f"---\nid: reviewer\n---\n## {title}\n```json\n{json}\n```\n"


def test_every_part_of_a_complete_document_is_read() -> None:
    assert read(COMPLETE) == AgentProfile(
        id="reviewer",
        name="Code Reviewer",
        description="Read-only code review",
        tags=("profile", "agent-type"),
        install=InstallManifest(
            npm=("eslint-mcp", "@eslint/mcp@1.2.3"), pip=("ruff>=0.4",), commands=("npx",)
        ),
        harness="claude",
        model="claude-sonnet-4-5",
        permission_mode="plan",
        allowed_tools=("Read", "Glob", "create_task", "mcp__linter__run"),
        denied_tools=("WebFetch",),
        mcp_servers=("linter", "search"),
        optional_servers=("search",),
        system_prompt_suffix=(
            "## Role\nYou review code.\n\n"
            "## Rules\n- Be kind.\n\n### Not a section\n- Be exact.\n\n"
            "## Reflection\n- Am I sure?"
        ),
        max_tokens_per_task=100_000,
        max_turns=30,
        max_budget_usd=2.5,
        timeout_seconds=600.0,
        settings={"effort": "high"},
    )
    assert warnings(COMPLETE) == []


def test_no_field_of_a_profile_is_left_out_of_the_complete_document() -> None:
    profile = read(COMPLETE)
    for field in fields(AgentProfile):
        assert getattr(profile, field.name), field.name


def test_a_server_is_optional_only_where_it_says_so_throughout() -> None:
    found = read(
        section("MCP Servers", '[{"name": "a", "optional": false}, {"name": "b", "optional": true}, "b"]')
    )
    assert (found.mcp_servers, found.optional_servers) == (("a", "b"), None)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ('{"optional": true}', "## MCP Servers: [0] must be a string (line 6)"),
        ('{"name": "a", "optional": "yes"}', "## MCP Servers: [0]: optional must be true or false (line 6)"),
        ('{"name": "Bad Name"}', "## MCP Servers: 'Bad Name' is not the name of a server (line 6)"),
    ],
)
def test_what_is_said_of_one_server_is_checked(item: str, message: str) -> None:
    assert errors(section("MCP Servers", f"[{item}]")) == [message]


def test_what_is_not_said_is_inherited() -> None:
    profile = read("---\n---\n")
    assert profile.name == "reviewer"
    assert [name for name in MERGED_FIELDS if getattr(profile, name) is not None] == []


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text.replace("\n", "\r\n"),
        lambda text: "\n\n  " + text,
        lambda text: text.replace("## Tools", "## TOOLS  ").replace("## MCP Servers", "## mcp servers ##"),
        lambda text: text.replace("```json", "~~~~JSON").replace("\n```\n", "\n~~~~\n"),
    ],
    ids=["bom", "crlf", "bom and crlf", "leading blanks", "headings", "tildes"],
)
def test_spelling_makes_no_difference(change: Any) -> None:
    assert read(change(COMPLETE)) == read(COMPLETE)


def test_tags_may_be_a_single_one() -> None:
    assert read("---\ntags: solo\n---\n").tags == ("solo",)
    assert read("---\ntags:\n  - a\n  - 2\n---\n").tags == ("a", "2")


def test_what_looks_like_another_type_is_text_in_front_matter() -> None:
    profile = read("---\nname: 2024\ndescription: no\n---\n")
    assert (profile.name, profile.description) == ("2024", "no")


def test_an_unquoted_colon_is_recovered_with_a_warning() -> None:
    text = "---\ndescription: Use this: when reviewing: code\n  and more: of it\ntags:\n- a\n---\n"
    assert read(text).description == "Use this: when reviewing: code and more: of it"
    assert read(text).tags == ("a",)
    assert warnings(text) == [
        "front matter: the value of 'description' contains ': ' and should be quoted (line 2)"
    ]


def test_none_and_an_empty_list_are_different_things() -> None:
    assert read(section("Tools", '{"allowed": "none"}')).allowed_tools == ()
    assert read(section("Tools", '{"allowed": []}')).allowed_tools is None
    assert read(section("Tools", '{"allowed": null}')).allowed_tools is None
    assert read(section("MCP Servers", '"none"')).mcp_servers == ()
    assert read(section("MCP Servers", "[]")).mcp_servers is None
    assert read(section("MCP Servers", "{}")).mcp_servers is None


def test_an_empty_model_counts_as_absent() -> None:
    profile = read(section("Config", '{"model": "", "permission_mode": "", "max_turns": null}'))
    assert (profile.model, profile.permission_mode, profile.max_turns) == (None, None, None)


def test_a_newer_name_of_a_permission_mode_is_stored_as_the_one_all_versions_know() -> None:
    assert read(section("Config", '{"permission_mode": "manual"}')).permission_mode == "default"


def test_only_the_mode_of_a_known_vocabulary_is_checked() -> None:
    text = section("Config", '{"permission_mode": "read-only"}').replace("id: reviewer", "harness: codex")
    assert read(text).permission_mode == "read-only"


def test_a_project_document_leaves_its_harness_open() -> None:
    assert read("---\nname: x\n---\n", overlay=True).harness is None


def test_only_the_first_json_block_of_a_section_is_read_and_prose_is_kept() -> None:
    text = section("Tools", '{"allowed": ["Read"]}') + '\nSome text.\n```json\n{"allowed": ["Bash"]}\n```\n'
    assert read(text).allowed_tools == ("Read",)
    assert warnings(text) == ["only the first ```json block of ## Tools is read (line 10)"]


def test_a_heading_inside_a_code_fence_is_text() -> None:
    text = "## Role\nWrite:\n```markdown\n## Tools\nnone\n```\nDone.\n\n## Rules\n- x\n"
    assert read(text).system_prompt_suffix == (
        "## Role\nWrite:\n```markdown\n## Tools\nnone\n```\nDone.\n\n## Rules\n- x"
    )


def test_a_verbatim_role_comes_back_exactly_as_it_was_given() -> None:
    given = "  You are\n\n## Guidelines\n```\nopen fence \n"
    text = f"## Role\n````prompt\n{given}\n````\n"
    assert read(text).system_prompt_suffix == given


def test_prompt_parts_come_in_their_order_wherever_they_stand() -> None:
    text = "## Reflection\nc\n## Rules\nb\n## Role\na\n"
    assert read(text).system_prompt_suffix == "## Role\na\n\n## Rules\nb\n\n## Reflection\nc"


def test_a_prompt_part_is_measured_in_utf16_units() -> None:
    assert read("## Role\n" + "\U0001f600" * 2000).system_prompt_suffix
    assert errors("## Role\n" + "\U0001f600" * 2000 + "x") == [
        "## Role has 4001 characters; at most 4000 are accepted (line 1)"
    ]


def test_inline_servers_of_old_documents_are_handed_on() -> None:
    text = section("MCP Servers", '{"linter": {"command": "npx"}, "Bad Name": {"command": "x"}}')
    result = parse(text.encode(), profile_id="reviewer")
    assert isinstance(result, Parsed)
    assert result.profile.mcp_servers == ("linter",)
    assert result.inline_servers == {"linter": {"command": "npx"}, "Bad Name": {"command": "x"}}
    assert [str(w) for w in result.warnings] == [
        "## MCP Servers: definitions belong in files of mcp-servers/; list their names here (line 6)",
        "## MCP Servers: 'Bad Name' is not a usable name; the entry grants nothing (line 6)",
    ]


def test_inline_servers_without_a_usable_name_grant_nothing_rather_than_the_default() -> None:
    assert read(section("MCP Servers", '{"Bad Name": {"command": "x"}}')).mcp_servers == ()


BAD_DOCUMENTS = {
    "empty": ("", "the file is empty"),
    "blank": ("\ufeff \r\n\t\n", "the file is empty"),
    "not utf-8": (b"---\nname: \xff\n---\n", "the file is not UTF-8 (line 2)"),
    "nul": ("## Role\nx\x00", "the file contains a NUL character (line 2)"),
    "too large": (b"x" * (MOST_BYTES + 1), "the file is larger than 1024 KiB"),
    "no profile": (
        "# Reviewer\nYou review.\n",
        "this is not a profile: it has neither front matter nor a section that is read",
    ),
    "not closed": (
        "---\nname: x\n## Role\nx\n",
        "front matter is not closed: there is no second '---' line (line 1)",
    ),
    "not a mapping": (
        "---\n- a\n---\n",
        "front matter must be a mapping of keys to values, got a list (line 2)",
    ),
    "text": ("---\njust text\n---\n", "front matter must be a mapping of keys to values, got text (line 2)"),
    "not yaml": (
        "---\nname: [a\n---\n",
        "front matter is not valid YAML: while parsing a flow sequence"
        " did not find expected ',' or ']' (line 3)",
    ),
    "alias": (
        "---\nname: *x\n---\n",
        "front matter is not valid YAML: aliases (*name) are not accepted;"
        " quote text that begins with * (line 2)",
    ),
    "double key": (
        "---\nname: x\nname: y\n---\n",
        "front matter is not valid YAML: the key 'name' stands there twice (line 3)",
    ),
    "id": (
        "---\nid: other\n---\n",
        "front matter: id 'other' differs from the directory's name 'reviewer' (line 2)",
    ),
    "name": ("---\nname: [a]\n---\n", "front matter: name must be text (line 2)"),
    "tags": ("---\ntags: [[a]]\n---\n", "front matter: tags must be a list of texts (line 2)"),
    "harness": (
        "---\nharness: claud\n---\n",
        "front matter: harness 'claud' is not one of claude, codex, opencode, droid;"
        " did you mean 'claude'? (line 2)",
    ),
    "open fence": ("## Role\n```\nx\n## Tools\n", "code fence is never closed (line 2)"),
    "double section": (
        "## Tools\n## Role\n## tools\n",
        "## Tools stands there twice, first on line 1 (line 3)",
    ),
    "json": (
        section("Config", '{\n"model": }'),
        "Invalid JSON in ## Config: Expecting value (line 7, col 10)",
    ),
    "json double key": (
        section("Tools", '{"allowed": ["Bash"], "allowed": ["Read"]}'),
        "Invalid JSON in ## Tools: the key 'allowed' stands there twice (line 6)",
    ),
    "json nan": (
        section("Config", '{"max_turns": NaN}'),
        "Invalid JSON in ## Config: NaN is not a JSON number (line 6)",
    ),
    "json deep": (
        section("Config", '{"settings": ' + '{"a":' * 40 + "1" + "}" * 41),
        "Invalid JSON in ## Config: nested deeper than 32 levels (line 6)",
    ),
    "json surrogate": (
        section("Config", '{"model": "\\ud800"}'),
        "Invalid JSON in ## Config: a string contains a NUL character or half of a surrogate pair (line 6)",
    ),
    "json nul": (
        section("Config", '{"settings": {"a\\u0000": 1}}'),
        "Invalid JSON in ## Config: a string contains a NUL character or half of a surrogate pair (line 6)",
    ),
    "config kind": (section("Config", "[]"), "## Config JSON must be an object, got list (line 6)"),
    "model": (
        section("Config", '{"model": 4}'),
        "## Config: model must be a non-empty string (line 6)",
    ),
    "blank model": (
        section("Config", '{"model": " "}'),
        "## Config: model must be a non-empty string (line 6)",
    ),
    "mode": (
        section("Config", '{"permission_mode": "acceptedits"}'),
        "## Config: permission_mode 'acceptedits' is not one of claude's: default, acceptEdits, plan,"
        " dontAsk, bypassPermissions, auto; did you mean 'acceptEdits'? (line 6)",
    ),
    "boolean limit": (
        section("Config", '{"max_turns": true}'),
        "## Config: max_turns must be a positive number (line 6)",
    ),
    "zero limit": (
        section("Config", '{"max_budget_usd": 0}'),
        "## Config: max_budget_usd must be a positive number (line 6)",
    ),
    "huge limit": (
        section("Config", '{"timeout_seconds": 1e300}'),
        "## Config: timeout_seconds must be a positive number (line 6)",
    ),
    "text limit": (
        section("Config", '{"timeout_seconds": "10"}'),
        "## Config: timeout_seconds must be a positive number (line 6)",
    ),
    "half a turn": (
        section("Config", '{"max_turns": 1.5}'),
        "## Config: max_turns must be a whole number (line 6)",
    ),
    "settings": (
        section("Config", '{"settings": "x"}'),
        "## Config: settings must be an object, got string (line 6)",
    ),
    "tools kind": (section("Tools", "[]"), "## Tools JSON must be an object, got list (line 6)"),
    "allowed kind": (
        section("Tools", '{"allowed": "Read"}'),
        '## Tools: allowed must be a list or "none", got string (line 6)',
    ),
    "allowed empty text": (
        section("Tools", '{"allowed": ""}'),
        '## Tools: allowed must be a list or "none", got string (line 6)',
    ),
    "denied kind": (
        section("Tools", '{"denied": "none"}'),
        "## Tools: denied must be a list, got string (line 6)",
    ),
    "tool item": (
        section("Tools", '{"allowed": ["Read", 1]}'),
        "## Tools: allowed[1] must be a string (line 6)",
    ),
    "tool empty": (
        section("Tools", '{"allowed": ["Read", " "]}'),
        "## Tools: allowed[1] must be a non-empty string (line 6)",
    ),
    "tool comma": (
        section("Tools", '{"allowed": ["Read,Bash"]}'),
        "## Tools: allowed: tool name 'Read,Bash' must not have ',' there; give one name per entry,"
        " made of letters, digits, '_', '-' and '.' (line 6)",
    ),
    "denied unknown": (
        section("Tools", '{"denied": ["Bsh"]}'),
        "## Tools: denied: tool 'Bsh' is not known; did you mean 'Bash'? (line 6)",
    ),
    "too many tools": (
        section("Tools", '{"allowed": [' + ",".join(['"x"'] * 501) + "]}"),
        "## Tools: allowed has 501 entries; at most 500 are accepted (line 6)",
    ),
    "servers kind": (
        section("MCP Servers", "3"),
        "## MCP Servers JSON must be a list of names, got number (line 6)",
    ),
    "server item": (
        section("MCP Servers", '["linter", null]'),
        "## MCP Servers: [1] must be a string (line 6)",
    ),
    "server name": (
        section("MCP Servers", '["../x"]'),
        "## MCP Servers: '../x' is not the name of a server (line 6)",
    ),
    "install kind": (section("Install", "true"), "## Install JSON must be an object, got boolean (line 6)"),
    "install list": (
        section("Install", '{"npm": "x"}'),
        "## Install: npm must be a list, got string (line 6)",
    ),
    "install url": (
        section("Install", '{"npm": ["git+https://example.com/x"]}'),
        "## Install: npm: 'git+https://example.com/x' is not a plain package name with a version (line 6)",
    ),
    "install option": (
        section("Install", '{"pip": ["--target=x"]}'),
        "## Install: pip: '--target=x' is not a plain package name with a version (line 6)",
    ),
    "install path": (
        section("Install", '{"commands": ["/bin/sh"]}'),
        "## Install: commands: '/bin/sh' is not a plain command name (line 6)",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS.keys())
def test_each_mistake_has_its_own_message(text: str | bytes, message: str) -> None:
    assert errors(text) == [message]


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = (
        "---\nid: other\n---\n## Tools\n```json\n[]\n```\n## Config\n```json\n"
        '{"model": 1, "max_turns": -1}\n```\n'
    )
    assert errors(text) == [
        "front matter: id 'other' differs from the directory's name 'reviewer' (line 2)",
        "## Tools JSON must be an object, got list (line 6)",
        "## Config: model must be a non-empty string (line 10)",
        "## Config: max_turns must be a positive number (line 10)",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            section("Config", '{"modle": "x"}'),
            "## Config: unknown key 'modle'; did you mean 'model'? (line 6)",
        ),
        (
            section("Tools", '{"allow": ["Read"]}'),
            "## Tools: unknown key 'allow'; did you mean 'allowed'? (line 6)",
        ),
        (section("Install", '{"apt": ["x"]}'), "## Install: unknown key 'apt' (line 6)"),
        (
            section("Tools", '{"allowed": ["read"]}'),
            "## Tools: allowed: tool 'read' is not known; did you mean 'Read'? (line 6)",
        ),
        (
            section("Tools", '{"allowed": ["Bash"], "denied": ["Bash"]}'),
            "## Tools: 'Bash' is both allowed and denied; denied wins (line 6)",
        ),
        (
            "---\n---\n## Tools\nRead and Grep.\n",
            "## Tools has no ```json block; nothing is read from it (line 3)",
        ),
        ("---\n---\n## Tool\n", "## 'Tool' is not read; did you mean 'Tools'? (line 3)"),
        ("---\n---\n### Tools\n", "this heading is not read as a section; write '## Tools' (line 3)"),
        ("---\n---\n##Tools\n", "this heading is not read as a section; write '## Tools' (line 3)"),
        (
            "---\ntools: Read, Grep\n---\n",
            "front matter: tools is not read here; use ## Tools (line 2)",
        ),
        (
            "---\nharnes: codex\n---\n",
            "front matter: 'harnes' is not read; did you mean 'harness'? (line 2)",
        ),
    ],
)
def test_what_is_doubtful_is_warned_about(text: str, message: str) -> None:
    assert warnings(text) == [message]


def test_tools_of_plugins_are_known_when_they_are_named() -> None:
    text = section("Tools", '{"allowed": ["get_weather"], "denied": ["send_message"]}')
    assert warnings(text, known_tools={"get_weather", "send_message"}) == []


def slow_documents() -> dict[str, str]:
    many = range(20_000)
    return {
        "blank lines": "## Role\nx" + "\n" * MOST_BYTES,
        "headings": "## x\n" * (MOST_BYTES // 5),
        "fences": "```\n" * (MOST_BYTES // 4),
        "fences in a fence": "~~~\n" + "```x\n" * (MOST_BYTES // 6) + "~~~\n",
        "one line": "## Role\n" + "x" * (MOST_BYTES - 10),
        "nearly sections": "---\n---\n" + "# Tools\n" * (MOST_BYTES // 9),
        "fenced sections": "---\n---\n" + ("```\n" + "# Tools\n" * 900 + "```\n") * 100,
        "names": section("Tools", '{"allowed": [' + ",".join(f'"t{n}"' for n in many) + "]}"),
        "unknown names": section("Tools", '{"allowed": [' + ",".join(f'"t{n}"' for n in range(500)) + "]}"),
        "unknown keys": section("Config", "{" + ",".join(f'"k{n}": {n}' for n in many) + "}"),
        "brackets": section("Tools", "[" * (MOST_BYTES - 200)),
        "digits": section("Tools", "9" * (MOST_BYTES - 200)),
        "front matter": "---\n" + "a: b: c\n" * (MOST_BYTES // 9) + "---\n",
        "keys": "---\n" + "".join(f"k{n}: b: c\n" for n in range(4_000)) + "---\n",
        "recovered keys": "---\n" + "".join(f"k{n}: b: {'c' * 500}\n" for n in range(100)) + "---\n",
        "hashes": "## x" + " #" * (MOST_BYTES // 2 - 10),
    }


@pytest.mark.parametrize(("text"), slow_documents().values(), ids=slow_documents().keys())
def test_a_mebibyte_of_anything_takes_under_a_tenth_of_a_second(text: str) -> None:
    data = text.encode()[:MOST_BYTES]
    best = min(_timed(data) for _ in range(3))
    assert best < 0.1


def _timed(data: bytes) -> float:
    """Seconds of processor time: the machine may be busy with other tests."""
    started = time.thread_time()
    parse(data, profile_id="reviewer")
    return time.thread_time() - started
