"""Commands that hand profiles to others and take theirs."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.commands.encoding import encode
from orchestrator.commands.gist import GistFailed
from orchestrator.commands.profile_write import CreateProfile, EditProfile, create_profile, edit_profile
from orchestrator.commands.transfer import ExportProfile, ImportProfile, export_profile, import_profile
from orchestrator.domain.errors import AlreadyExists, InvalidInput
from orchestrator.store import profiles

GIST = "https://gist.github.com/someone/0123456789abcdef0123"


def export(bench, profile_id: str = "reviewer", **more):
    return bench.do(export_profile, ExportProfile(profile_id=profile_id, **more))


def take(bench, source: str, **more):
    return bench.do(import_profile, ImportProfile(source=source, **more))


def stored(bench, profile_id: str = "reviewer"):
    return bench.database.read_sync(profiles.get_profile, profile_id)


def gh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """Stands in for the GitHub CLI: a program of that name, first on PATH."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "gh"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/asked\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path / "asked"


def test_what_was_exported_is_imported_as_an_equal_profile(bench) -> None:
    fields = {
        "description": "d: e",
        "tags": ("1", "on"),
        "model": "m",
        "permission_mode": "plan",
        "allowed_tools": "none",
        "denied_tools": ("Bash",),
        "mcp_servers": ("lint", {"name": "git", "optional": True}),
        "system_prompt_suffix": " x\n\n",
        "max_turns": 3,
        "max_budget_usd": 1.5,
        "settings": {"effort": "high", "deep": {"list": [1, 2.0, None, True]}},
        "install": {"commands": ("sh",)},
    }
    bench.do(create_profile, CreateProfile(id="full", name="Full", **fields))
    text = export(bench, "full").yaml
    assert text.startswith("# Agent Profile: Full\nagent_profile:\n  id: full\n")
    done = take(bench, text, id="copy", name="Copy")
    assert encode(done) == {
        "imported": "copy",
        "id": "copy",
        "name": "Copy",
        "ready": True,
        "warnings": [f"mcp_servers: '{name}' is not in the registry" for name in ("lint", "git")],
        "already_present": ["cmd:sh"],
    }
    assert stored(bench, "copy") == replace(stored(bench, "full"), id="copy", name="Copy")


def test_an_import_replaces_only_when_asked_to_and_keeps_what_stands_around(bench) -> None:
    text = export(bench).yaml
    path = bench.vault / "agent-types/reviewer/profile.md"
    path.write_text(path.read_text() + "\n## Notes\nMine.\n")
    with pytest.raises(AlreadyExists, match=r"already exists \(use overwrite=true to replace\)"):
        take(bench, text)
    before = stored(bench)
    bench.do(edit_profile, EditProfile(profile_id="reviewer", model="m", max_turns=3))
    done = take(bench, text, overwrite=True)
    assert (done.imported, done.ready, done.manual) == ("reviewer", True, ())
    assert stored(bench) == before
    assert "## Notes\nMine.\n" in path.read_text()


def test_a_document_that_cannot_be_used_is_replaced_whole(bench) -> None:
    text = export(bench).yaml
    (bench.vault / "agent-types/reviewer/profile.md").write_text("---\n: [\n---\n")
    take(bench, text, overwrite=True)
    assert stored(bench).allowed_tools == ("Read", "Grep")


def test_what_is_wrong_in_an_import_changes_nothing(bench) -> None:
    with pytest.raises(InvalidInput, match="YAML must contain an 'agent_profile' key"):
        take(bench, "name: x")
    with pytest.raises(InvalidInput, match="the profile has no id"):
        take(bench, "agent_profile: {name: X}")
    with pytest.raises(InvalidInput, match="install: npm"):
        take(bench, "agent_profile: {id: x, install: {npm: ['https://evil/x.tgz']}}")
    with pytest.raises(AlreadyExists, match="'Reviewer' already exists"):
        take(bench, "agent_profile: {id: x, name: Reviewer}")
    assert not (bench.vault / "agent-types/x").exists()


def test_an_import_reports_what_is_missing_where_installing_is_off(bench) -> None:
    bench.use = replace(bench.use, host=replace(bench.use.host, install_on_import=False))
    done = take(bench, "agent_profile: {id: x, install: {commands: [no-such-command], pip: [tiny-pip]}}")
    assert (done.ready, done.installed) == (False, ())
    assert done.manual == ("cmd:no-such-command", "pip:tiny-pip")
    assert "pip package not installed: tiny-pip" in done.warnings


def test_a_profile_is_published_as_a_gist(bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = gh(tmp_path, monkeypatch, f"cat > {tmp_path}/sent; echo {GIST}")
    done = export(bench, create_gist=True)
    assert done.gist_url == GIST
    assert (tmp_path / "sent").read_text() == done.yaml
    assert asked.read_text().split("\n")[:4] == ["gist", "create", "--public", "--filename=reviewer.yaml"]


def test_a_gist_that_fails_is_an_error_beside_the_yaml(bench, tmp_path: Path, monkeypatch) -> None:
    gh(tmp_path, monkeypatch, "echo 'error: not signed in' >&2; exit 4")
    done = export(bench, create_gist=True)
    assert encode(done) == {"yaml": done.yaml, "gist_error": "gh gist create failed: error: not signed in"}


def test_without_gh_the_way_out_is_said(bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install the GitHub CLI" in export(bench, create_gist=True).gist_error
    with pytest.raises(GistFailed, match="gh was not found"):
        take(bench, GIST)


def test_a_profile_is_imported_from_a_gist(bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = gh(tmp_path, monkeypatch, "echo 'agent_profile: {id: shared, name: Shared}'")
    assert take(bench, GIST).imported == "shared"
    assert asked.read_text().split() == ["gist", "view", "0123456789abcdef0123", "--raw"]


@pytest.mark.parametrize(
    "url",
    [
        "http://gist.github.com/u/0123456789abcdef0123",
        "https://gist.github.com.evil.example/u/0123456789abcdef0123",
        "https://gist.github.com/u/--web",
        "https://gist.github.com/u/0123456789ABCDEF0123",
        "https://example.com/profile.yaml",
    ],
)
def test_other_addresses_are_refused(bench, url: str) -> None:
    with pytest.raises(InvalidInput, match="source must be YAML text or a gist's address"):
        take(bench, url)
