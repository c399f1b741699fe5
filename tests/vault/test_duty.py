"""Of several hosts with a vault each, one defines the profiles."""

import asyncio
from pathlib import Path

import pytest

from orchestrator.domain.errors import Conflict
from orchestrator.store import duties, profiles
from orchestrator.store.database import Database
from orchestrator.vault.duty import NAME, Candidate, must_take
from orchestrator.vault.sync import VaultSync


def vault(database: Database, root: Path, *, takes_over: bool = True) -> VaultSync:
    place = root / "agent-types" / root.name / "profile.md"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"---\nid: {root.name}\nname: {root.name}\n---\n")
    candidate = Candidate(holder=f"{root.name}:{root}", takes_over=takes_over)
    return VaultSync(database=database, root=root, candidate=candidate)


def ids(database: Database) -> set[str]:
    return {profile.id for profile in database.read_sync(profiles.list_profiles)}


def test_the_vault_of_another_host_changes_nothing_until_the_duty_is_free(
    database: Database, tmp_path: Path
) -> None:
    one, other = vault(database, tmp_path / "one"), vault(database, tmp_path / "other")
    again = VaultSync(
        database=database,
        root=tmp_path / "one",
        candidate=Candidate(holder=f"one:{tmp_path / 'one'}"),
    )

    async def scenario() -> None:
        await one.run_once()
        await again.run_once()  # another process of the same host counts as the same
        with pytest.raises(Conflict, match="defined by the vault one:"):
            await other.run_once()
        assert ids(database) == {"one"}
        await database.run(duties.release, f"one:{tmp_path / 'one'}")
        await other.run_once()
        assert ids(database) == {"other"}

    asyncio.run(scenario())


def test_a_vault_that_takes_over_nothing_waits_for_ever(database: Database, tmp_path: Path) -> None:
    own = Candidate(holder="one")
    modest = Candidate(holder="other", takes_over=False)
    database.run_sync(must_take, own)
    database.run_sync(duties.release, "one")
    with pytest.raises(Conflict):
        database.run_sync(must_take, modest)
    assert database.run_sync(must_take, own).name == NAME
