"""MCP server documents: what each key means, and what is said of each mistake."""

from typing import Any

import pytest

from orchestrator.domain.mcp import McpServer
from orchestrator.vault.problem import Rejected
from orchestrator.vault.server_document import ParsedServer, parse


def read(text: str, **options: Any) -> McpServer:
    result = parse(text.encode(), name="linter", **options)
    assert isinstance(result, ParsedServer), result.errors
    return result.server


def errors(text: str, name: str = "linter") -> list[str]:
    result = parse(text.encode(), name=name)
    assert isinstance(result, Rejected)
    return [str(problem) for problem in result.errors]


def warnings(text: str) -> list[str]:
    result = parse(text.encode(), name="linter")
    assert isinstance(result, ParsedServer), result.errors
    return [str(problem) for problem in result.warnings]


def test_a_server_that_is_started() -> None:
    text = (
        "---\nname: linter\ntransport: STDIO\ndescription: Lints\ncommand: npx\nargs: [-y, eslint-mcp]\n"
        "env:\n  TOKEN: ${LINT_TOKEN}\n  LEVEL: '3'\n---\nNotes: *kept*.\n"
    )
    assert read(text) == McpServer(
        name="linter",
        transport="stdio",
        description="Lints",
        command="npx",
        args=("-y", "eslint-mcp"),
        env={"TOKEN": "${LINT_TOKEN}", "LEVEL": "3"},
    )
    assert warnings(text) == []


def test_a_server_that_runs_already() -> None:
    text = "---\ntransport: http\nurl: https://example.com/mcp\nheaders: {Authorization: 'B ${T}'}\n---\n"
    assert read(text, project_id="acme") == McpServer(
        name="linter",
        transport="http",
        project_id="acme",
        url="https://example.com/mcp",
        headers={"Authorization": "B ${T}"},
    )


def test_a_command_says_the_transport() -> None:
    assert read("---\ncommand: npx\n---\n").transport == "stdio"


BAD_DOCUMENTS = {
    "empty": ("", ["the file is empty"]),
    "no front matter": (
        "# Linter\n",
        ["front matter is missing: a server is defined between two '---' lines (line 1)"],
    ),
    "not closed": (
        "---\ncommand: npx\n",
        ["front matter is not closed: there is no second '---' line (line 1)"],
    ),
    "not yaml": (
        "---\ncommand: 'npx\n---\n",
        [
            "front matter is not valid YAML: while scanning a quoted scalar found unexpected end of stream"
            " (line 3)"
        ],
    ),
    "not a mapping": (
        "---\nnpx\n---\n",
        ["front matter must be a mapping of keys to values, got text (line 2)"],
    ),
    "nothing": ("---\n---\n", ["'transport' is missing; write stdio or http"]),
    "name": (
        "---\nname: other\ncommand: x\n---\n",
        ["name 'other' differs from the file's name 'linter' (line 2)"],
    ),
    "transport": (
        "---\ntransport: sse\nurl: http://x/\n---\n",
        ["'transport' must be stdio or http, got 'sse' (line 2)"],
    ),
    "no transport": ("---\nurl: http://x/\n---\n", ["'transport' is missing; write stdio or http"]),
    "no command": ("---\ntransport: stdio\n---\n", ["stdio transport requires 'command'"]),
    "command": ("---\ncommand: [npx]\n---\n", ["stdio transport requires 'command' (line 2)"]),
    "args": (
        "---\ncommand: x\nargs: -y\n---\n",
        ["'args' must be a list of strings (line 3)"],
    ),
    "arg": (
        "---\ncommand: x\nargs: [-p, 8080]\n---\n",
        ["'args' must be a list of strings: args[1] is a number; put it in quotes (line 3)"],
    ),
    "env": (
        "---\ncommand: x\nenv: [a]\n---\n",
        ["'env' must be an object of strings to strings (line 3)"],
    ),
    "env number": (
        "---\ncommand: x\nenv: {PORT: 8080, DEBUG: true, EMPTY: }\n---\n",
        [
            "'env' must be an object of strings to strings: 'PORT' is a number; put it in quotes (line 3)",
            "'env' must be an object of strings to strings: 'DEBUG' is a boolean; put it in quotes (line 3)",
            "'env' must be an object of strings to strings: 'EMPTY' is empty (line 3)",
        ],
    ),
    "env name": (
        "---\ncommand: x\nenv: {A-B: x}\n---\n",
        ["'env': 'A-B' is not a usable name (line 3)"],
    ),
    "no url": ("---\ntransport: http\n---\n", ["http transport requires 'url'"]),
    "url": (
        "---\ntransport: http\nurl: file:///etc/passwd\n---\n",
        ["'url' must be an http or https URL, got 'file:///etc/passwd' (line 3)"],
    ),
    "url port": (
        "---\ntransport: http\nurl: http://x:99999/\n---\n",
        ["'url' must be an http or https URL, got 'http://x:99999/' (line 3)"],
    ),
    "header": (
        '---\ntransport: http\nurl: http://x/\nheaders: {A: "b\\r\\nC: d", "E F": g}\n---\n',
        [
            "'headers': the value of 'A' contains control characters (line 4)",
            "'headers': 'E F' is not a usable name (line 4)",
        ],
    ),
    "several": (
        "---\nname: other\ntransport: http\nheaders: x\n---\n",
        [
            "http transport requires 'url'",
            "name 'other' differs from the file's name 'linter' (line 2)",
            "'headers' must be an object of strings to strings (line 4)",
        ],
    ),
}


@pytest.mark.parametrize(("text", "messages"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS.keys())
def test_each_mistake_has_its_own_message(text: str, messages: list[str]) -> None:
    found = errors(text)
    if messages == ["stdio transport requires 'command' (line 2)"]:
        assert found == ["front matter: command must be text (line 2)", *messages]
    else:
        assert found == messages


def test_the_embedded_servers_name_is_taken() -> None:
    assert errors("---\ncommand: x\n---\n", name="agent-queue") == [
        "'agent-queue' is reserved by the embedded agent-queue server"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "---\ncommand: x\nurl: http://x/\n---\n",
            "'url' is not used by a server with transport stdio (line 3)",
        ),
        ("---\ncommand: x\narg: [a]\n---\n", "unknown key 'arg'; did you mean 'args'? (line 3)"),
        (
            "---\ncommand: x\nargs: ['${T}']\n---\n",
            "'args': ${...} is only replaced in env and headers (line 3)",
        ),
    ],
)
def test_what_is_doubtful_is_warned_about(text: str, message: str) -> None:
    assert warnings(text) == [message]
