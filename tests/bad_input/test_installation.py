"""Settings, databases, vaults and homes that cannot be used: one line says which, and nothing is changed."""

import os
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Program = Callable[..., Any]
CONFIGURATION, DATABASE = 5, 6


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("worker: 5", "config.yaml, line 1: worker: must be a section"),
        ("policy: {allowed_tools: Read}", "policy.allowed_tools: must be a list"),
        ("policy: {allowed_tools: [Read Grep]}", "line 1: policy.allowed_tools: tool name 'Read Grep'"),
        ("policy: {allowed_tools: ['Read,Grep']}", "policy.allowed_tools: tool name 'Read,Grep'"),
        (
            "policy: {denied_tools: [Raed]}",
            "policy.denied_tools: tool 'Raed' is not known; did you mean 'Read'?",
        ),
        ("policy: {permission_modes: [free]}", "permission mode 'free' is not known; known are: default"),
        ("claude: {permission_mode: free}", "claude.permission_mode: permission mode 'free' is not known"),
        ("worker: {lease_seconds: 1}", "lease_seconds (1) must be at least twice heartbeat_seconds (5)"),
        ("worker: {1: 2}", "key 1 is not text"),
        ("vault: {path: 3}", "vault.path: must be a path"),
        ("database: {url: 'mysql://x'}", "database.url names 'mysql'; use a SQLite file or PostgreSQL"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_by_name(
    program: Program, home: Path, document: str, message: str
) -> None:
    home.mkdir()
    (home / "config.yaml").write_text(document, encoding="utf-8")
    said = program("project", "list")
    assert said.code == CONFIGURATION
    assert message in said.err
    assert not (home / "orchestrator.db").exists()


@pytest.mark.parametrize("rule", ["mcp__linter", "mcp__linter__*", "mcp__linter__run", "Web*", "Bash"])
def test_a_deny_rule_of_any_form_is_taken(program: Program, home: Path, rule: str) -> None:
    home.mkdir()
    (home / "config.yaml").write_text(f"policy: {{denied_tools: ['{rule}']}}", encoding="utf-8")
    assert program("config", "show").code == 0


def test_a_vault_that_goes_away_is_not_replaced_by_the_starter_vault(program: Program, home: Path) -> None:
    assert program("vault", "sync").code == 0
    mine = home / "vault" / "agent-types" / "mine" / "profile.md"
    mine.parent.mkdir()
    mine.write_text("---\nid: mine\nname: Mine\n---\n", encoding="utf-8")
    assert program("vault", "sync").code == 0
    (home / "vault").rename(home / "elsewhere")
    said = program("vault", "sync")
    assert said.code == CONFIGURATION
    assert "cannot be read (No such file or directory); nothing was changed. Check that" in said.err
    assert not (home / "vault").exists()
    assert "mine" in program("profile", "list").out


def test_a_vault_that_is_a_file_is_named(program: Program, process: Program, home: Path) -> None:
    home.mkdir()
    (home / "vault").write_text("", encoding="utf-8")
    for said in (program("vault", "sync"), process("up", "--rehearse", "--no-screen")):
        assert said.code == CONFIGURATION
        assert f"The vault at {home / 'vault'} cannot be read (Not a directory)" in said.err


def test_a_database_of_a_newer_version_is_left_alone(program: Program, process: Program, home: Path) -> None:
    program("project", "list")
    with sqlite3.connect(home / "orchestrator.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    up = process("up", "--rehearse", "--no-screen")
    for said in (program("project", "list"), program("migrate"), up):
        assert said.code == DATABASE
        assert "was written by a newer version of orchestrator. Upgrade this program" in said.err


def test_a_file_that_is_no_database_is_named(program: Program, home: Path) -> None:
    home.mkdir()
    (home / "orchestrator.db").write_bytes(os.urandom(5000))
    said = program("task", "list")
    assert said.code == DATABASE
    assert f"{home / 'orchestrator.db'} is not a SQLite database" in said.err


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_home_that_is_read_only_is_named(program: Program, home: Path) -> None:
    home.mkdir(mode=0o500)
    assert str(home) in program("project", "list").err


def test_a_port_that_is_taken_is_named_with_the_way_out(process: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = process("rehearse", "--port", str(port))
    assert said.code == CONFIGURATION
    assert f"127.0.0.1:{port}" in said.err
    assert "Choose another port, or 0 for a free one." in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["project", "add", "../x"], "id must be 1 to 64"),
        (["project", "add", "a/b"], "id must be 1 to 64"),
        (["profile", "show", "../../etc"], "profile_id must be 1 to 64"),
        (["profile", "show", "nosuch"], "profile nosuch not found; `orchestrator profile list`"),
        (["task", "show", "a/b"], "task_id must be the id of a task"),
        (["task", "add", "x", "--profile", "nosuch"], "profile nosuch not found"),
        (["task", "add", b"bad \xff"], "prompt must be valid Unicode text"),
        (["project", "add", "web", "--repository", "https://example.invalid/x.git"], "clone it"),
    ],
)
def test_what_cannot_be_an_argument_is_refused_and_changes_nothing(
    program: Program, arguments: list[Any], message: str
) -> None:
    program("project", "add", "acme")
    said = program(*arguments, "--json")
    assert said.code in (2, 3)
    assert message in said.err
    assert program("task", "list", "--json").out.count('"id"') == 0
