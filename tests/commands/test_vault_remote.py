"""The vault's commands where the vault is a clone."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.commands import vault
from orchestrator.commands.encoding import encode
from orchestrator.commands.wire import decode
from orchestrator.domain.errors import InvalidInput, NotFound
from orchestrator.vault.git.cycle import GitOptions, GitVault


def run(place: Path, *words: str) -> None:
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    subprocess.run(["git", *identity, "-C", str(place), *words], check=True, capture_output=True)


@pytest.fixture
def clone(bench, tmp_path):
    """The vault with a remote, and the other clone of that."""
    run(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
    run(bench.vault, "init", "--quiet", "--initial-branch=main")
    run(bench.vault, "remote", "add", "origin", str(tmp_path / "remote.git"))
    bench.use = replace(bench.use, git=GitVault(bench.vault, GitOptions(host="here")))
    assert encode(bench.do(vault.vault_sync, vault.SyncVault()))["git"]["state"] == "synced"
    run(tmp_path, "clone", "--quiet", "remote.git", "other")
    return tmp_path / "other"


def test_what_others_push_is_read_by_the_same_command(bench, clone) -> None:
    (clone / "mcp-servers").mkdir()
    (clone / "mcp-servers" / "linter.md").write_text("---\ncommand: lint\n---\n")
    run(clone, "add", "--all")
    run(clone, "commit", "--quiet", "-m", "Add")
    run(clone, "push", "--quiet")
    assert bench.do(vault.vault_sync, vault.SyncVault()).accepted == ("mcp-servers/linter.md",)


def test_a_conflict_is_shown_and_settled(bench, clone) -> None:
    name = "agent-types/reviewer/profile.md"
    for root, text in ((clone, "Theirs."), (bench.vault, "Ours.")):
        file = root / name
        file.write_text(file.read_text().replace("You review.", text))
    run(clone, "commit", "--quiet", "--all", "-m", "Edit")
    run(clone, "push", "--quiet")
    assert bench.do(vault.vault_sync, vault.SyncVault()).git.state == "conflict"
    shown = encode(bench.do(vault.vault_status, vault.LookAtVault()))["git"]
    assert [file["path"] for file in shown["conflicts"]] == [name]
    request = decode(vault.ResolveConflict, {"path": name, "keep": "theirs"})
    assert bench.do(vault.vault_resolve, request).remaining == ()
    assert bench.do(vault.vault_sync, vault.SyncVault()).accepted == (name,)
    assert "Theirs." in (bench.vault / name).read_text()


def test_a_wrong_decision_changes_nothing(bench, clone) -> None:
    with pytest.raises(InvalidInput):
        decode(vault.ResolveConflict, {"path": "a", "keep": "both"})
    with pytest.raises(NotFound):
        bench.do(vault.vault_resolve, vault.ResolveConflict(path="a", keep="ours"))


def test_a_vault_that_is_no_clone_says_nothing_of_git(bench) -> None:
    bench.use = replace(bench.use, git=GitVault(bench.vault))
    assert "git" not in encode(bench.do(vault.vault_status, vault.LookAtVault()))
    assert "git" not in encode(bench.do(vault.vault_sync, vault.SyncVault()))
