"""The registry of MCP servers: looked at, written, probed, and kept while profiles need it."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands import wire
from orchestrator.commands.encoding import encode
from orchestrator.commands.problem import problem
from orchestrator.commands.projects import CreateProject, EditProject, create_project, edit_project
from orchestrator.commands.surface import BY_NAME
from orchestrator.domain.errors import Conflict, NotFound, OrchestratorError
from orchestrator.domain.mcp import McpServer, ServerProbe, ServerTool
from orchestrator.harness.mcp_probe import probe_servers
from orchestrator.harness.process import probe as what_isolates
from orchestrator.store import servers as store

SERVER = str(Path(__file__).parents[1] / "fakes" / "sdk_server.py")
LINT = ServerTool(name="lint", description="Find faults.", input_schema={"type": "object"})


async def answering(servers: Sequence[McpServer]) -> list[ServerProbe]:
    """In the place of real servers: those named `broken` fail, all others offer one tool."""
    return [
        ServerProbe(at=5.0, error="no licence")
        if server.name == "broken"
        else ServerProbe(at=5.0, tools=(LINT,))
        for server in servers
    ]


@pytest.fixture
def do(bench) -> Callable[..., dict[str, Any]]:
    """Runs a command as every surface does: JSON in, JSON out."""
    bench.use = replace(bench.use, probe=answering)

    def run(command_name: str, /, **members: Any) -> dict[str, Any]:
        command = BY_NAME[command_name]
        result = bench.do(command.handler, wire.decode(command.request, members))
        return json.loads(json.dumps(encode(result)))

    return run


def refused(do: Callable[..., Any], command: str, /, **members: Any) -> str:
    with pytest.raises(OrchestratorError) as caught:
        do(command, **members)
    return str(caught.value)


def project(bench, project_id: str = "acme") -> None:
    bench.do(create_project, CreateProject(id=project_id))


def names(profile: Path, *servers: str) -> None:
    """Let a profile list these servers."""
    profile.parent.mkdir(parents=True, exist_ok=True)
    profile.write_text(f"## MCP Servers\n```json\n{json.dumps(servers)}\n```\n", encoding="utf-8")


def test_a_new_server_is_a_document_that_is_probed_at_once(bench, do) -> None:
    done = do(
        "create_mcp_server",
        name="linter",
        command="npx",
        args=["-y", "eslint-mcp"],
        env={"TOKEN": "${LINT_TOKEN}"},
        description="Lints",
        notes="Ask Ada.",
    )
    assert done == {
        "created": "linter",
        "scope": "system",
        "project_id": None,
        "path": "mcp-servers/linter.md",
        "tool_count": 1,
    }
    text = (bench.vault / "mcp-servers/linter.md").read_text()
    assert text == (
        '---\nname: linter\ntransport: stdio\ndescription: Lints\ncommand: npx\nargs: ["-y", "eslint-mcp"]\n'
        'env:\n  TOKEN: "${LINT_TOKEN}"\n---\n\nAsk Ada.\n'
    )


def test_the_list_has_the_built_in_server_and_how_each_probe_went(bench, do) -> None:
    project(bench)
    do("create_mcp_server", name="linter", command="npx")
    done = do("create_mcp_server", name="broken", url="http://127.0.0.1:9/mcp", project_id="acme")
    assert done["last_error"] == "no licence"
    listed = do("list_mcp_servers", project_id="acme")
    assert listed["count"] == 3
    assert [(one["name"], one["scope"], one["is_builtin"]) for one in listed["servers"]] == [
        ("agent-queue", "system", True),
        ("broken", "project", False),
        ("linter", "system", False),
    ]
    broken, linter = listed["servers"][1:]
    assert (broken["transport"], broken["project_id"], broken["last_error"]) == ("http", "acme", "no licence")
    assert (linter["tool_count"], linter["last_probed_at"]) == (1, 5.0)
    assert "last_error" not in linter
    assert do("list_mcp_servers")["count"] == 2


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "stdio transport requires 'command'"),
        ({"transport": "stdio"}, "stdio transport requires 'command'"),
        ({"transport": "http"}, "http transport requires 'url'"),
        ({"transport": "sse", "url": "http://x"}, "'transport' must be stdio or http"),
        ({"command": "x", "args": "-y"}, "'args' must be a list of strings"),
        ({"command": "x", "args": ["-y", 3]}, "'args' must be a list of strings"),
        ({"command": "x", "env": {"A": 3}}, "'env' must be an object of strings to strings"),
        ({"command": "x", "env": ["A"]}, "'env' must be an object of strings to strings"),
        ({"url": "http://x", "headers": {"A": 3}}, "'headers' must be an object of strings to strings"),
        ({"url": "ftp://x"}, "'url' must be an http or https URL, got 'ftp://x'"),
        ({"command": "x", "url": "http://x"}, "'url' is not used by a server with transport stdio"),
        ({"command": "x", "env": {"not a name": "x"}}, "'env': 'not a name' is not a usable name"),
    ],
)
def test_what_cannot_be_a_server_is_refused_and_leaves_no_trace(
    bench, do, members: dict[str, Any], message: str
) -> None:
    assert message in refused(do, "create_mcp_server", name="linter", **members)
    assert not (bench.vault / "mcp-servers").exists()


@pytest.mark.parametrize("command", ["create_mcp_server", "edit_mcp_server", "delete_mcp_server"])
def test_the_embedded_server_is_nobodys_to_change(bench, do, command: str) -> None:
    project(bench)
    fields = {} if command == "delete_mcp_server" else {"command": "x"}
    for scope in ({}, {"project_id": "acme"}):
        said = refused(do, command, name="agent-queue", **scope, **fields)
        assert "reserved by the embedded agent-queue server" in said


def test_a_name_is_taken_in_each_scope_by_itself(bench, do) -> None:
    project(bench)
    do("create_mcp_server", name="linter", command="x")
    assert do("create_mcp_server", name="linter", command="y", project_id="acme")["scope"] == "project"
    for scope, where in (({}, "system"), ({"project_id": "acme"}, "project")):
        said = refused(do, "create_mcp_server", name="linter", command="z", **scope)
        assert f"already exists (scope={where})" in said
    assert do("get_mcp_server", name="linter", project_id="acme")["adapter_config"]["command"] == "y"
    assert do("get_mcp_server", name="linter")["adapter_config"]["command"] == "x"
    with pytest.raises(NotFound):
        do("create_mcp_server", name="linter", command="x", project_id="nobody")


def test_values_are_hidden_unless_they_are_references(bench, do) -> None:
    do(
        "create_mcp_server",
        name="remote",
        url="https://ada:geheim@example.org/mcp",
        headers={
            "Authorization": "Bearer ${TOKEN}",
            "X-Key": "sk-literal-key",
            "X-Mixed": "prefix-${TOKEN}",
        },
        notes="The team's.",
    )
    shown = do("get_mcp_server", name="remote")
    assert shown["adapter_config"] == {
        "type": "http",
        "url": "https://•••@example.org/mcp",
        "headers": {"Authorization": "Bearer ${TOKEN}", "X-Key": "•••", "X-Mixed": "•••${TOKEN}"},
    }
    assert shown["notes"] == "The team's."
    assert "literal" not in json.dumps(shown)


def test_an_edit_changes_its_lines_only(bench, do) -> None:
    path = bench.vault / "mcp-servers" / "linter.md"
    path.parent.mkdir()
    text = "---\n# ours\ncommand:  npx\nenv:\n  A: b   # why\n  C: d\nteam: x\n---\nNotes.  \n"
    path.write_text(text)
    asyncio.run(bench.use.sync())
    done = do("edit_mcp_server", name="linter", env={"A": "b", "C": "e"})
    assert done == {"updated": "linter", "scope": "system", "path": "mcp-servers/linter.md"}
    assert path.read_text() == text.replace("  C: d\n", '  C: "e"\n')
    assert refused(do, "edit_mcp_server", name="linter") == "No fields to update"


def test_a_failed_edit_leaves_the_file_untouched(bench, do) -> None:
    do("create_mcp_server", name="linter", command="x")
    path = bench.vault / "mcp-servers" / "linter.md"
    before = path.read_bytes()
    assert "stdio transport requires 'command'" in refused(do, "edit_mcp_server", name="linter", command="")
    assert path.read_bytes() == before
    path.write_text("---\ncommand: [\n---\n")
    with pytest.raises(Conflict, match="cannot be used as it is"):
        do("edit_mcp_server", name="linter", command="y")
    assert path.read_text() == "---\ncommand: [\n---\n"
    assert "not found" in refused(do, "edit_mcp_server", name="other", command="y")


def test_the_transport_can_be_changed(bench, do) -> None:
    do("create_mcp_server", name="linter", command="x", args=["-y"], env={"A": "b"})
    do("edit_mcp_server", name="linter", transport="http", url="http://127.0.0.1:9/mcp")
    assert do("get_mcp_server", name="linter")["adapter_config"] == {
        "type": "http",
        "url": "http://127.0.0.1:9/mcp",
    }


def test_a_server_stays_while_a_profile_lists_it(bench, do) -> None:
    do("create_mcp_server", name="linter", command="x")
    names(bench.vault / "agent-types/reviewer/profile.md", "linter")
    names(bench.vault / "agent-types/coder/profile.md", "linter")
    with pytest.raises(Conflict, match=r"still referenced by 2 profile\(s\)") as caught:
        do("delete_mcp_server", name="linter")
    assert problem(caught.value)["referenced_by"] == ["coder", "reviewer"]
    for profile in ("reviewer", "coder"):
        (bench.vault / f"agent-types/{profile}/profile.md").write_text("---\n---\n")
    done = do("delete_mcp_server", name="linter")
    assert done == {"deleted": "linter", "scope": "system", "path": "mcp-servers/linter.md"}
    assert bench.database.read_sync(store.get, "linter") is None
    assert "not found" in refused(do, "delete_mcp_server", name="linter")


def test_only_profiles_that_would_get_this_very_server_keep_it(bench, do) -> None:
    project(bench)
    project(bench, "beta")
    do("create_mcp_server", name="linter", command="x")
    do("create_mcp_server", name="linter", command="y", project_id="acme")
    names(bench.vault / "projects/acme/agent-types/reviewer/profile.md", "linter")
    # The overlay of acme gets acme's; the system's may go.
    assert problem_of(do, name="linter", project_id="acme") == ["acme/reviewer"]
    do("delete_mcp_server", name="linter")
    do("create_mcp_server", name="linter", command="x")
    names(bench.vault / "projects/beta/agent-types/reviewer/profile.md", "linter")
    assert problem_of(do, name="linter") == ["beta/reviewer"]


def test_a_system_profile_keeps_a_projects_server_where_the_project_uses_it(bench, do) -> None:
    project(bench)
    do("create_mcp_server", name="linter", command="y", project_id="acme")
    names(bench.vault / "agent-types/reviewer/profile.md", "linter")
    asyncio.run(bench.use.sync())
    bench.do(edit_project, EditProject(project_id="acme", default_profile_id="reviewer"))
    assert problem_of(do, name="linter", project_id="acme") == ["reviewer"]
    bench.do(edit_project, EditProject(project_id="acme", default_profile_id=None))
    do("delete_mcp_server", name="linter", project_id="acme")


def problem_of(do: Callable[..., Any], **members: Any) -> list[str]:
    with pytest.raises(Conflict) as caught:
        do("delete_mcp_server", **members)
    return problem(caught.value)["referenced_by"]


def test_a_probe_is_recorded_and_forgotten_when_the_server_changes(bench, do) -> None:
    do("create_mcp_server", name="linter", command="x")
    probed = do("probe_mcp_server", name="linter")["probed"]
    assert probed == {
        "name": "linter",
        "scope": "system",
        "transport": "stdio",
        "ok": True,
        "tools": [{"name": "lint", "description": "Find faults.", "input_schema": {"type": "object"}}],
        "last_error": None,
        "last_probed_at": 5.0,
    }
    assert do("list_mcp_tool_catalog", server_names=["linter"]) == {"servers": {"linter": probed}, "count": 1}
    do("edit_mcp_server", name="linter", command="y")
    entry = do("list_mcp_tool_catalog")["servers"]["linter"]
    assert (entry["ok"], entry["tools"], entry["last_probed_at"]) == (None, [], None)


def test_a_probe_of_what_the_server_was_is_not_recorded(bench, do) -> None:
    do("create_mcp_server", name="linter", command="x")
    before = bench.database.read_sync(store.registered, "linter")
    do("edit_mcp_server", name="linter", command="y")
    late = ServerProbe(at=6.0, tools=(LINT,))
    assert not bench.database.run_sync(store.record_probe, before, late)
    assert bench.database.read_sync(store.registered, "linter").probe is None


def test_all_are_probed_when_none_is_named(bench, do) -> None:
    project(bench)
    do("create_mcp_server", name="linter", command="x")
    do("create_mcp_server", name="broken", command="y", project_id="acme")
    assert do("probe_mcp_server")["probed"].keys() == {"linter"}
    probed = do("probe_mcp_server", project_id="acme")["probed"]
    assert {name: entry["ok"] for name, entry in probed.items()} == {"linter": True, "broken": False}


def test_the_catalog_has_the_tools_of_the_embedded_server_with_their_schemas(do) -> None:
    entry = do("list_mcp_tool_catalog", server_names=["agent-queue"])["servers"]["agent-queue"]
    create = next(tool for tool in entry["tools"] if tool["name"] == "create_task")
    assert "title" in create["input_schema"]["properties"]
    assert "delete_mcp_server" not in {tool["name"] for tool in entry["tools"]}
    assert "not found" in refused(do, "list_mcp_tool_catalog", server_names=["nobody"])


def test_a_real_server_is_probed_by_command(bench, do) -> None:
    real = partial(probe_servers, secrets={}, isolation=what_isolates(), clock=lambda: 7.0, parent=os.environ)
    bench.use = replace(bench.use, probe=real)
    done = do("create_mcp_server", name="linter", command=sys.executable, args=[SERVER, "stdio"])
    assert done["tool_count"] == 2
    do("create_mcp_server", name="gone", command="no-such-command-here")
    probed = do("probe_mcp_server")["probed"]
    assert probed["linter"]["last_probed_at"] == 7.0
    assert "was not found" in probed["gone"]["last_error"]
