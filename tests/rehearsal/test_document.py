"""Scripts as people write them, and what they are told when they are wrong."""

import json
from pathlib import Path

import pytest

from orchestrator.rehearsal import (
    CutOff,
    Failure,
    Hang,
    Malformed,
    Reply,
    Rule,
    Script,
    ScriptInvalid,
    StreamError,
    Tokens,
    ToolCall,
    When,
    load,
    parse,
)
from orchestrator.rehearsal.builtin import look_round

ROOT = Path(__file__).parents[2]

EVERYTHING = """
name: everything
label: false
rules:
  - name: first
    when:
      {prompt: "^go", turn: 1, step: 0, results: 2, session: s, model: m, tool: Read, headers: {X-Task: t1}}
    times: 1
    times_in_all: 2
    replies:
      - text: Look.
        thinking: Hm.
        tools: [{name: Read, input: {file_path: a, on: 2020-01-01}}, {name: Bash}]
        stop_reason: max_tokens
        usage: {input_tokens: 5, output_tokens: 6, cache_read_input_tokens: 7, cache_creation_input_tokens: 8}
        delay: 1
        pause: 0.5
        piece: 9
      - error: {status: 429, message: Slow., headers: {retry-after: 30}}
      - hang: mid_stream
      - cut_off: before_headers
      - stream_error: {type: api_error}
      - malformed: true
default: look_round
"""


def test_every_field_of_a_script_can_be_written() -> None:
    reply = Reply(
        text="Look.",
        thinking="Hm.",
        tools=(ToolCall(name="Read", input={"file_path": "a", "on": "2020-01-01"}), ToolCall(name="Bash")),
        stop_reason="max_tokens",
        usage=Tokens(
            input_tokens=5, output_tokens=6, cache_read_input_tokens=7, cache_creation_input_tokens=8
        ),
        delay=1.0,
        pause=0.5,
        piece=9,
    )
    faults = (
        Failure(status=429, type="rate_limit_error", message="Slow.", headers={"retry-after": "30"}),
        Hang(where="mid_stream"),
        CutOff(where="before_headers"),
        StreamError(type="api_error"),
        Malformed(),
    )
    when = When(
        prompt="^go", turn=1, step=0, results=2, session="s", model="m", tool="Read", headers={"X-Task": "t1"}
    )
    replies = (reply, *(Reply(fault=fault) for fault in faults))
    rule = Rule(name="first", when=when, times=1, times_in_all=2, replies=replies)
    assert parse(EVERYTHING) == Script(rules=(rule,), default=look_round, label=False, name="everything")


def test_json_is_as_good_as_yaml(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"replies": [{"text": "a\tb\n\u20ac"}]}, indent=1))
    assert load(path).rules == (Rule(replies=(Reply(text="a\tb\n\u20ac"),)),)


@pytest.mark.parametrize(
    ("text", "field", "complaint"),
    [
        ("", None, "is empty; give it `replies:`"),
        ("- a", None, "line 1: the script must be a mapping"),
        ("x: [", None, "not valid YAML or JSON"),
        ("name: x", None, "has no replies"),
        ("replies: []", "replies", "must have at least one reply"),
        ("replies:\n  - txt: a", "replies[0].txt", "line 2.*did you mean 'text'"),
        ("replies:\n  - text: a\n    zzz: a", "replies[0].zzz", "line 3.*known keys: text"),
        ("replies:\n  - text: 4", "replies[0].text", "put it in quotes"),
        ("replies:\n  - {text: a, text: b}", "replies[0].text", "given twice"),
        ("replies:\n  - tools: Read", "replies[0].tools", "must be a list"),
        ("replies:\n  - tools: [{input: {}}]", "replies[0].tools[0]", "has no name"),
        ("replies:\n  - tools: [{name: R, input: []}]", "replies[0].tools[0].input", "must be a mapping"),
        ("replies:\n  - delay: -1", "replies[0].delay", "seconds from 0"),
        ("replies:\n  - delay: .inf", "replies[0].delay", "not plain data"),
        ("replies:\n  - piece: 0", "replies[0].piece", "whole number from 1"),
        ("replies:\n  - stop_reason: enough", "replies[0].stop_reason", "must be one of: end_turn"),
        ("replies:\n  - error: {}", "replies[0].error", "has no status"),
        ("replies:\n  - error: {status: 200}", "replies[0].error.status", "from 400 to 599"),
        (
            'replies:\n  - error: {status: 429, headers: {a: "b\\nc"}}',
            "replies[0].error.headers.a",
            "printable",
        ),
        ("replies:\n  - hang: later", "replies[0].hang", "before_headers, mid_stream"),
        ("replies:\n  - {malformed: true, hang: mid_stream}", "replies[0].hang", "one fault"),
        (
            "rules:\n  - when: {prompt: '('}\n    replies: [{text: a}]",
            "rules[0].when.prompt",
            "line 2.*expression",
        ),
        ("rules:\n  - {}", "rules[0]", "has no replies"),
        ("rules: []\nreplies: [{text: a}]", "replies", "exclude each other"),
        ("default: looks", "default", "must be one of: look_round"),
        ("a: &x 1\nb: *x", None, "line 2.*aliases are not supported"),
        ("replies: " + "[" * 5_000, None, "nested too deeply"),
        ("replies: [{text: !!python/name:os.system }]", "replies[0].text", "not plain data"),
        ("name: " + "x" * (5 << 20), None, "larger than 4 MiB"),
        ("name: \x00", None, "not valid YAML"),
    ],
)
def test_a_bad_script_is_refused_with_the_field_and_the_way_out(
    text: str, field: str | None, complaint: str
) -> None:
    with pytest.raises(ScriptInvalid, match=complaint) as caught:
        parse(text)
    assert caught.value.field == field


def test_a_script_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("absent", "binary"):
        with pytest.raises(ScriptInvalid, match=f"{name} cannot be read"):
            load(tmp_path / name)


def test_every_script_in_the_documentation_is_valid() -> None:
    page = (ROOT / "docs" / "rehearsal.md").read_text()
    scripts = [block.split("```")[0] for block in page.split("```yaml\n")[1:]]
    assert len(scripts) >= 3
    for script in scripts:
        parse(script)
