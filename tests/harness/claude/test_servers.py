"""MCP servers in the file of the start: secrets resolved here, and nothing left to expand there."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.errors import StartRefused
from orchestrator.domain.mcp import McpServer
from orchestrator.harness.claude.servers import EXPANDED, mcp_document


def stdio(**fields: Any) -> McpServer:
    return McpServer(**{"name": "linter", "transport": "stdio", "command": "npx", **fields})


def document(*servers: McpServer, secrets: dict[str, str] | None = None, hidden: tuple[str, ...] = ()) -> Any:
    return json.loads(mcp_document(servers, secrets or {}, hidden))["mcpServers"]


def test_each_transport_has_its_form() -> None:
    web = McpServer(name="web", transport="http", url="https://example.org/mcp", headers={"A": "Bearer ${T}"})
    found = document(stdio(args=("-y", "x"), env={"K": "${T}"}), web, secrets={"T": "s3cret"})
    assert found["linter"] == {
        "type": "stdio",
        "command": "npx",
        "args": ["-y", "x"],
        "env": {"K": "s3cret"},
        "alwaysLoad": True,
    }
    assert found["web"] == {
        "type": "http",
        "url": "https://example.org/mcp",
        "headers": {"A": "Bearer s3cret"},
        "alwaysLoad": True,
    }


def test_no_servers_is_an_empty_list_of_them() -> None:
    assert document() == {}


def test_the_agents_credentials_are_blanked_unless_the_server_asks_for_one() -> None:
    found = document(stdio(env={"B": "own"}), hidden=("A", "B"))
    assert found["linter"]["env"] == {"A": "", "B": "own"}


@pytest.mark.parametrize(
    "server",
    [
        stdio(env={"K": "${MISSING}"}),
        stdio(args=("${KEY}",)),
        stdio(command="${KEY}"),
        stdio(command=None),
        stdio(env={"K": "${KEY:-default}"}),
        McpServer(name="linter", transport="http", url="https://x/${KEY}"),
        McpServer(name="linter", transport="http"),
        McpServer(name="linter", transport="http", url="https://x/", headers={"A": "${MISSING}"}),
    ],
)
def test_what_cannot_be_resolved_is_refused_by_name(server: McpServer) -> None:
    with pytest.raises(StartRefused, match="linter"):
        mcp_document([server], {"KEY": "value"})


@given(st.text(max_size=20), st.text(alphabet="${}KEY_ab", max_size=20))
def test_nothing_is_left_that_the_command_line_would_expand(value: str, reference: str) -> None:
    try:
        text = mcp_document([stdio(env={"K": reference})], {"KEY": value, "a": value})
    except StartRefused:
        return
    assert EXPANDED not in json.loads(text)["mcpServers"]["linter"]["env"]["K"]
