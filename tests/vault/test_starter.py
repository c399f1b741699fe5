"""The vault that a new installation starts with."""

import json
from pathlib import Path

import pytest

from orchestrator.domain.errors import NotFound
from orchestrator.vault.document import Parsed, parse
from orchestrator.vault.starter import RECORD, differing, packaged_vault, reseed, seed

PROFILE = "agent-types/coder/profile.md"


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    place = tmp_path / "shipped" / PROFILE
    place.parent.mkdir(parents=True)
    place.write_text("version 1")
    return tmp_path / "shipped"


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    return tmp_path / "vault"


def test_a_new_installation_gets_every_starter_profile(vault: Path) -> None:
    copied = seed(vault).copied
    ids = {path.split("/")[1] for path in copied if path.endswith("profile.md")}
    assert ids >= {"coder", "reviewer", "researcher", "tester"}
    assert all((vault / path).is_file() for path in copied)
    assert seed(vault).copied == ()


@pytest.mark.parametrize("path", sorted(packaged_vault().glob("agent-types/*/profile.md")), ids=str)
def test_every_starter_profile_is_good_and_pins_no_model(path: Path) -> None:
    result = parse(path.read_bytes(), profile_id=path.parent.name)
    assert isinstance(result, Parsed), result.errors
    assert result.warnings == ()
    assert result.profile.model is None
    assert result.profile.allowed_tools
    assert result.profile.max_turns
    assert result.profile.timeout_seconds
    for title in ("## Role", "## Rules", "## Reflection"):
        assert title in (result.profile.system_prompt_suffix or "")


@pytest.mark.parametrize("profile_id", ["reviewer", "planner"])
def test_who_only_reads_is_granted_nothing_that_writes_or_runs(profile_id: str) -> None:
    path = packaged_vault() / "agent-types" / profile_id / "profile.md"
    result = parse(path.read_bytes(), profile_id=profile_id)
    assert isinstance(result, Parsed)
    assert set(result.profile.allowed_tools or ()) <= {"Read", "Grep", "Glob", "TodoWrite"}


def test_a_file_that_is_there_is_never_overwritten(vault: Path, shipped: Path) -> None:
    (vault / PROFILE).parent.mkdir(parents=True)
    (vault / PROFILE).write_text("mine")
    result = seed(vault, shipped)
    assert (result.copied, result.differing) == ((), (PROFILE,))
    assert (vault / PROFILE).read_text() == "mine"


def test_a_file_that_nobody_touched_follows_the_package(vault: Path, shipped: Path) -> None:
    seed(vault, shipped)
    (shipped / PROFILE).write_text("version 2")
    assert seed(vault, shipped).updated == (PROFILE,)
    assert (vault / PROFILE).read_text() == "version 2"


def test_a_file_that_was_touched_stays_and_its_difference_is_shown(vault: Path, shipped: Path) -> None:
    seed(vault, shipped)
    (vault / PROFILE).write_text("mine")
    (shipped / PROFILE).write_text("version 2")
    assert seed(vault, shipped).differing == (PROFILE,)
    assert differing(vault, shipped) == {PROFILE: ("mine", "version 2")}
    assert (vault / PROFILE).read_text() == "mine"


def test_a_deleted_file_stays_deleted(vault: Path, shipped: Path) -> None:
    seed(vault, shipped)
    (vault / PROFILE).unlink()
    assert seed(vault, shipped).copied == ()
    assert not (vault / PROFILE).exists()


def test_reseeding_takes_the_shipped_file_and_keeps_the_old_one(vault: Path, shipped: Path) -> None:
    seed(vault, shipped)
    (vault / PROFILE).write_text("mine")
    backup = reseed(vault, PROFILE, shipped)
    assert backup is not None
    assert (backup.name, backup.read_text()) == ("profile.md.bak", "mine")
    assert (vault / PROFILE).read_text() == "version 1"
    assert reseed(vault, PROFILE, shipped) is None
    with pytest.raises(NotFound):
        reseed(vault, "../outside", shipped)


@pytest.mark.parametrize("record", ["", "[]", "{", '{"agent-types/coder/profile.md": 1}'])
def test_a_damaged_record_makes_every_file_the_operators(vault: Path, shipped: Path, record: str) -> None:
    seed(vault, shipped)
    (vault / RECORD).write_text(record)
    (shipped / PROFILE).write_text("version 2")
    assert seed(vault, shipped).differing == (PROFILE,)


def test_the_record_tells_what_was_shipped(vault: Path, shipped: Path) -> None:
    seed(vault, shipped)
    assert list(json.loads((vault / RECORD).read_text())) == [PROFILE]
