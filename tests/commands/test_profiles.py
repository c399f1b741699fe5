"""Commands on profiles and the vault."""

import pytest

from orchestrator.commands.profiles import GetProfile, ListProfiles, get_profile, list_profiles
from orchestrator.commands.vault import LookAtVault, SyncVault, vault_status, vault_sync
from orchestrator.domain.errors import InvalidInput, NotFound


def write(bench, profile_id: str, text: str) -> None:
    path = bench.vault / "agent-types" / profile_id / "profile.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_profiles_are_listed_by_name(bench) -> None:
    write(bench, "zed", '---\nname: Another\n---\n## Tools\n```json\n{"allowed": "none"}\n```\n')
    bench.do(vault_sync, SyncVault())
    found = bench.do(list_profiles, ListProfiles())
    assert [(row.id, row.allowed_tools) for row in found.profiles] == [
        ("zed", "none"),
        ("reviewer", ("Read", "Grep")),
    ]
    assert found.profiles[1].model == "(default)"
    assert found.profiles[1].has_system_prompt


def test_a_profile_shows_what_its_document_says(bench) -> None:
    shown = bench.do(get_profile, GetProfile(profile_id="reviewer"))
    assert (shown.model, shown.permission_mode) == ("(default)", "(default)")
    assert shown.allowed_tools == ("Read", "Grep")
    assert shown.system_prompt_suffix == "## Role\nYou review."
    assert shown.problem is None


def test_a_profile_whose_document_broke_shows_its_last_good_revision(bench) -> None:
    write(bench, "reviewer", "---\nid: other\n---\n")
    assert bench.do(vault_sync, SyncVault()).rejected.keys() == {"agent-types/reviewer/profile.md"}
    shown = bench.do(get_profile, GetProfile(profile_id="reviewer"))
    assert shown.allowed_tools == ("Read", "Grep")
    assert "id" in shown.problem


@pytest.mark.parametrize("profile_id", ["../reviewer", "a/b", "", "Reviewer", "r" * 65])
def test_what_cannot_be_an_id_is_refused_before_anything_is_looked_up(bench, profile_id: str) -> None:
    with pytest.raises(InvalidInput, match="profile_id must be 1 to 64"):
        bench.do(get_profile, GetProfile(profile_id=profile_id))


def test_an_unknown_profile_is_not_found(bench) -> None:
    with pytest.raises(NotFound, match="profile nobody not found"):
        bench.do(get_profile, GetProfile(profile_id="nobody"))


def test_the_vault_says_what_it_holds_and_what_is_wrong(bench) -> None:
    write(bench, "broken", "---\n: [\n---\n")
    synced = bench.do(vault_sync, SyncVault())
    assert (synced.accepted, synced.unchanged) == ((), 1)
    status = bench.do(vault_status, LookAtVault())
    assert (status.count, status.errors) == (2, 1)
    assert [entry.id for entry in status.documents if entry.error] == ["broken"]
