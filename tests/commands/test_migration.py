"""Profiles of an old configuration and older documents, brought up to date once and never twice."""

import asyncio
from pathlib import Path

import pytest

from orchestrator.commands.migration import RECORD, entries_of, migrate, read_record
from orchestrator.domain.errors import ConfigurationError
from orchestrator.vault.document import Parsed, parse
from orchestrator.vault.server_document import ParsedServer
from orchestrator.vault.server_document import parse as parse_server

CONFIG = """
worker: {slots: 4}
agent_profiles:
  reviewer: {name: Mine}
  linter:
    name: Linter
    model: claude-sonnet-5-5
    allowed_tools: [Read, mcp__agent-queue__create_task]
    mcp_servers:
      eslint: {command: npx, args: [-y, eslint-mcp], env: {KEY: "${ESLINT_KEY}"}}
    system_prompt_suffix: |
      You lint.
    install: {npm: [eslint-mcp]}
  broken: {max_turns: -1}
  "No Id": {}
"""
INLINE = """---\r
id: old
name: Old      # by hand
---\r

## MCP Servers
Ours:
```json
  {
  "git": {"command": "git-mcp", "args": ["--ro"]},
  "web": {"type": "http", "url": "https://x.example/mcp", "headers": {"A": "${TOKEN}"}}
}
```
## Notes
Mine.
"""


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    path = tmp_path / "vault"
    write(path, "agent-types/reviewer/profile.md", "---\nname: Hand-written\n---\n")
    return path


def write(vault: Path, path: str, text: str) -> None:
    (vault / path).parent.mkdir(parents=True, exist_ok=True)
    (vault / path).write_bytes(text.encode())


def tree(vault: Path) -> dict[str, bytes]:
    return {str(p.relative_to(vault)): p.read_bytes() for p in vault.rglob("*") if p.is_file()}


def run(vault: Path, **more):
    return asyncio.run(migrate(home=vault.parent, vault=vault, now=1.0, **more))


def config(tmp_path: Path, text: str = CONFIG):
    (tmp_path / "config.yaml").write_text(text)
    return entries_of(tmp_path / "config.yaml")


def server(vault: Path, path: str, name: str, project_id: str | None = None):
    read = parse_server((vault / path).read_bytes(), name=name, project_id=project_id)
    assert isinstance(read, ParsedServer), read
    return read.server


def test_profiles_of_a_configuration_become_documents(vault: Path, tmp_path: Path) -> None:
    steps = run(vault, entries=config(tmp_path))
    assert [(step.kind, step.path) for step in steps] == [
        ("kept", "agent-types/reviewer/profile.md"),
        ("mcp_server", "mcp-servers/eslint.md"),
        ("profile", "agent-types/linter/profile.md"),
        ("kept", "agent_profiles"),
        ("kept", "agent_profiles"),
    ]
    assert "max_turns must be a positive number" in steps[3].message
    assert "'No Id' stays: this is not an id" in steps[4].message
    read = parse((vault / "agent-types/linter/profile.md").read_bytes(), profile_id="linter")
    assert isinstance(read, Parsed)
    assert read.profile.allowed_tools == ("Read", "create_task")
    assert read.profile.mcp_servers == ("eslint",)
    assert read.profile.system_prompt_suffix == "You lint.\n"
    assert read.profile.install.npm == ("eslint-mcp",)
    assert server(vault, "mcp-servers/eslint.md", "eslint").env == {"KEY": "${ESLINT_KEY}"}
    assert b"Hand-written" in (vault / "agent-types/reviewer/profile.md").read_bytes()


def test_a_second_time_changes_nothing_and_a_deleted_profile_stays_deleted(
    vault: Path, tmp_path: Path
) -> None:
    entries = config(tmp_path)
    run(vault, entries=entries)
    before = tree(vault)
    assert [step.kind for step in run(vault, entries=entries)] == ["kept", "kept"]
    assert tree(vault) == before
    (vault / "agent-types/linter/profile.md").unlink()
    run(vault, entries=entries)
    assert not (vault / "agent-types/linter/profile.md").exists()
    run(vault, entries=entries, again=True)
    assert tree(vault) == before


def test_a_dry_run_says_the_same_and_changes_nothing(vault: Path, tmp_path: Path) -> None:
    write(vault, "agent-types/old/profile.md", INLINE)
    before = tree(tmp_path)
    entries = config(tmp_path)
    told = run(vault, entries=entries, dry_run=True)
    assert {**tree(tmp_path), "config.yaml": b""} == {**before, "config.yaml": b""}
    assert told == run(vault, entries=entries)
    assert [step.message for step in told if step.done] == [s.message for s in read_record(tmp_path).steps]


def test_profiles_in_a_list_are_taken_too(vault: Path) -> None:
    run(vault, entries=[{"id": "a", "name": 2024}, "noise"])
    assert b'name: "2024"' in (vault / "agent-types/a/profile.md").read_bytes()


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("scope", ["", "projects/acme/"])
def test_inline_servers_become_files_and_nothing_else_changes(vault: Path, scope: str, bom: bytes) -> None:
    path = f"{scope}agent-types/old/profile.md"
    text = INLINE.replace("\r\n", "\n").replace("\n", "\r\n") if bom else INLINE
    write(vault, path, "")
    (vault / path).write_bytes(bom + text.encode())
    run(vault)
    start, end = text.index("{\r\n" if bom else "{\n"), text.rindex("}") + 1
    wanted = text[:start] + '["git", "web"]' + text[end:]
    assert (vault / path).read_bytes() == bom + wanted.encode()
    project = "acme" if scope else None
    assert server(vault, f"{scope}mcp-servers/git.md", "git", project).args == ("--ro",)
    assert server(vault, f"{scope}mcp-servers/web.md", "web", project).headers == {"A": "${TOKEN}"}
    after = tree(vault)
    assert run(vault) == ()
    assert tree(vault) == after


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('"bad": {"command": ["x"]}', "command must be text"),
        ('"bad": {"args": []}', "'transport' is missing"),
        ('"bad": {"command": "x", "env": {"A": 1}}', "'env' must be an object of strings to strings"),
        ('"bad": "npx"', "'transport' is missing"),
        ('"Bad Name": {"command": "x"}', "not a usable name"),
        ('"taken": {"command": "mine"}', "mcp-servers/taken.md says something else"),
    ],
)
def test_an_entry_that_cannot_be_moved_stays_where_it_is(vault: Path, entry: str, message: str) -> None:
    write(vault, "mcp-servers/taken.md", "---\ncommand: theirs\n---\n")
    document = f'---\nid: p\n---\n## MCP Servers\n```json\n{{"good": {{"command": "g"}}, {entry}}}\n```\n'
    write(vault, "agent-types/p/profile.md", document)
    kept = [step for step in run(vault) if step.kind == "kept"]
    assert len(kept) == 1
    assert message in kept[0].message
    assert (vault / "agent-types/p/profile.md").read_text() == document
    assert server(vault, "mcp-servers/good.md", "good").command == "g"
    assert server(vault, "mcp-servers/taken.md", "taken").command == "theirs"


def test_the_embedded_server_needs_no_file(vault: Path) -> None:
    write(vault, "agent-types/p/profile.md", '## MCP Servers\n```json\n{"agent-queue": {"url": "x"}}\n```\n')
    run(vault)
    assert '["agent-queue"]' in (vault / "agent-types/p/profile.md").read_text()
    assert not (vault / "mcp-servers").exists()


def test_strays_are_reported_with_their_place(vault: Path) -> None:
    write(vault, "agent-types/project:acme:reviewer/profile.md", "x")
    (step,) = run(vault)
    assert (step.kind, step.done) == ("stray", False)
    assert step.message.endswith("it belongs at projects/acme/agent-types/reviewer/profile.md")


def test_a_record_that_is_damaged_counts_as_none(vault: Path, tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text("[1]")
    run(vault, entries={"a": {}})
    assert read_record(tmp_path).moved == ("a",)


@pytest.mark.parametrize("text", ["a: [", "- x"])
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"config\.yaml"):
        config(tmp_path, text)
