"""Commands on a project's own profiles."""

from pathlib import Path

import pytest

from orchestrator.commands import wire
from orchestrator.commands.effective import ShowEffectiveProfile, show_effective_profile
from orchestrator.commands.encoding import encode
from orchestrator.commands.project_profiles import (
    CreateProjectProfile,
    DeleteProjectProfile,
    EditProjectProfile,
    ListProjectProfiles,
    create_project_profile,
    delete_project_profile,
    edit_project_profile,
    list_project_profiles,
)
from orchestrator.commands.projects import CreateProject, create_project
from orchestrator.commands.vault import SyncVault, vault_sync
from orchestrator.domain.errors import AlreadyExists, InvalidInput, NotFound

SCOPE = {"project_id": "acme", "agent_type": "reviewer"}
NESTED = "projects/acme/agent-types/reviewer/profile.md"


@pytest.fixture
def acme(bench):
    bench.do(create_project, CreateProject(id="acme"))
    return bench


def create(bench, **members):
    return bench.do(create_project_profile, wire.decode(CreateProjectProfile, {**SCOPE, **members}))


def edit(bench, **members):
    return bench.do(edit_project_profile, wire.decode(EditProjectProfile, {**SCOPE, **members}))


def delete(bench):
    return bench.do(delete_project_profile, DeleteProjectProfile(**SCOPE))


def rows(bench):
    found = bench.do(list_project_profiles, ListProjectProfiles(project_id="acme"))
    return {row["agent_type"]: row for row in encode(found)["agent_types"]}


def origin(bench, field: str) -> tuple[object, str]:
    found = bench.do(show_effective_profile, ShowEffectiveProfile(**SCOPE))
    return found.fields[field]["value"], found.fields[field]["origin"]


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_an_override_begins_as_the_document_of_the_system(acme) -> None:
    system = acme.vault / "agent-types/reviewer/profile.md"
    system.write_text(system.read_text() + "\n## Notes\nKept.\n")
    done = create(acme, model="m")
    assert encode(done) == {"created": "reviewer", **SCOPE, "path": NESTED}
    text = (acme.vault / NESTED).read_text()
    assert text == system.read_text() + '\n## Config\n```json\n{"model": "m"}\n```\n'
    assert origin(acme, "model") == ("m", "overlay of acme")


def test_an_override_that_is_not_seeded_sets_only_what_is_given(acme) -> None:
    create(acme, seed_from_global=False, max_turns=7)
    assert origin(acme, "max_turns") == (7, "overlay of acme")
    assert origin(acme, "allowed_tools") == (["Read", "Grep"], "profile reviewer")


def test_a_project_can_have_a_profile_that_the_system_lacks(acme) -> None:
    done = create(acme, agent_type="own", name="Own", model="m")
    assert done.path == "projects/acme/agent-types/own/profile.md"
    row = rows(acme)["own"]
    assert (row["global"], row["state"], row["effective"]["model"]) == (None, "override", "m")


def test_an_override_is_made_once(acme) -> None:
    create(acme)
    with pytest.raises(AlreadyExists, match=f"{NESTED} already exists"):
        create(acme)


@pytest.mark.parametrize("command", [create, lambda bench, **more: edit(bench, model="m", **more)])
def test_an_unknown_project_is_not_found_and_nothing_changes(bench, command) -> None:
    with pytest.raises(NotFound, match="project nobody not found"):
        command(bench, project_id="nobody")
    assert not (bench.vault / "projects").exists()


def test_an_edit_changes_only_what_it_names_and_clears_to_inherit(acme) -> None:
    create(acme, model="m")
    before = (acme.vault / NESTED).read_bytes()
    done = edit(acme, model="n", mcp_servers=["lint"])
    assert encode(done) == {
        "updated": "reviewer",
        **SCOPE,
        "fields": ["mcp_servers", "model"],
        "path": NESTED,
        "warnings": ["mcp_servers: 'lint' is not in the registry"],
    }
    after = before.replace(b'"m"', b'"n"') + b'\n## MCP Servers\n```json\n["lint"]\n```\n'
    assert (acme.vault / NESTED).read_bytes() == after
    edit(acme, allowed_tools=None)
    assert origin(acme, "allowed_tools") == (["Read", "Grep"], "profile reviewer")


def test_an_edit_needs_fields_and_an_override(acme) -> None:
    with pytest.raises(InvalidInput, match="No fields to update"):
        edit(acme)
    with pytest.raises(NotFound, match="project acme has no profile reviewer of its own: not found"):
        edit(acme, model="m")


@pytest.mark.parametrize("flat", ["agent-types", "projects/acme/agent-types"])
def test_a_delete_removes_both_layouts(acme, flat: str) -> None:
    create(acme, model="m")
    stray = f"{flat}/project:acme:reviewer/profile.md"
    write(acme.vault, stray, "---\nid: reviewer\n---\n## Config\n")
    done = delete(acme)
    assert encode(done) == {"deleted": "reviewer", **SCOPE, "removed_paths": [NESTED, stray]}
    assert not (acme.vault / stray).parent.exists()
    assert acme.do(vault_sync, SyncVault()).strays == ()
    assert origin(acme, "model")[1] == "default of claude"
    with pytest.raises(NotFound, match="not found"):
        delete(acme)


def test_a_stray_alone_is_removed_too(acme) -> None:
    write(acme.vault, "agent-types/project:acme:reviewer/profile.md", "x")
    assert len(delete(acme).removed_paths) == 1


def test_each_profile_is_overridden_inherited_or_missing(acme) -> None:
    write(acme.vault, "agent-types/broken/profile.md", "---\n: [\n---\n")
    acme.do(vault_sync, SyncVault())
    create(acme, seed_from_global=False, model="m", mcp_servers=["lint"])
    create(acme, agent_type="own")
    found = rows(acme)
    assert {name: row["state"] for name, row in found.items()} == {
        "broken": "no-default",
        "own": "override",
        "reviewer": "override",
    }
    reviewer = found["reviewer"]
    assert reviewer["has_override"]
    assert (reviewer["global"]["model"], reviewer["scoped"]["model"]) == ("(default)", "m")
    assert (reviewer["effective"]["model"], reviewer["effective"]["allowed_tools"]) == ("m", ["Read", "Grep"])
    delete(acme)
    assert rows(acme)["reviewer"]["state"] == "inherit"
    assert rows(acme)["reviewer"]["effective"] == rows(acme)["reviewer"]["global"]
