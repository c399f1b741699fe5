"""A vault whose turn it is, and whose clone is behind what another host's brought into effect."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from orchestrator import app
from orchestrator.commands import doctor, vault
from orchestrator.commands.profile_write import EditProfile, edit_profile
from orchestrator.commands.use import Use
from orchestrator.domain.errors import Conflict
from orchestrator.settings import load
from orchestrator.store import duties, profiles, servers, vault_commit
from orchestrator.store.database import Database, open_database
from orchestrator.vault import duty
from orchestrator.vault.git.state import GitState
from orchestrator.vault.sync import VaultSync
from orchestrator.worker.stop import Stop

GUARD = "agent-types/guard/profile.md"
SERVER = "mcp-servers/linter.md"


def guard(*tools: str) -> str:
    listed = ", ".join(f'"{tool}"' for tool in tools)
    return f'---\nid: guard\nname: Guard\n---\n\n## Tools\n\n```json\n{{"allowed": [{listed}]}}\n```\n'


@dataclass
class Side:
    """One host: its clone, and its process on the database that all share."""

    clone: Any
    use: Use
    look: VaultSync

    def sync(self) -> vault.VaultSynced:
        return asyncio.run(vault.vault_sync(self.use, vault.SyncVault()))

    def leave(self) -> None:
        self.use.database.run_sync(duties.release, self.clone.root.name)

    def status(self) -> vault.VaultStatus:
        return asyncio.run(vault.vault_status(self.use, vault.LookAtVault()))


def side_of(clone: Any, database: Database) -> Side:
    settings = load(
        environment={
            "ORCHESTRATOR_HOME": str(clone.root.parent / f"home-{clone.root.name}"),
            "ORCHESTRATOR_VAULT__PATH": str(clone.root),
            "ORCHESTRATOR_WORKER__NAME": clone.root.name,
        }
    ).settings
    candidate = duty.Candidate(holder=clone.root.name)

    async def lead() -> None:
        await database.run(duty.must_take, candidate)

    async def behind() -> str | None:
        commit = await database.read(app.in_effect_here, candidate.holder)
        return None if commit is None else await asyncio.to_thread(clone.vault.lacks, commit)

    look = VaultSync(clone.root, database, candidate=candidate, lacks=clone.vault.lacks)
    use = Use(
        database=database,
        sync=look.run_once,
        git=clone.vault,
        lead=lead,
        behind=behind,
        host=app.host(settings, {}, database="shared"),
        clock=lambda: 1e9,
        random=lambda: 1,
    )
    return Side(clone=clone, use=use, look=look)


@pytest.fixture
def sides(here: Any, there: Any, sqlite_url: str) -> Iterator[tuple[Side, Side]]:
    """Both have `guard` with Read and Bash, and the second one leads."""
    with open_database(sqlite_url) as database:
        one, other = side_of(here, database), side_of(there, database)
        one.clone.put(GUARD, guard("Read", "Bash"))
        one.clone.put(SERVER, "---\ncommand: lint\n---\n")
        one.sync()
        one.leave()
        other.sync()
        assert granted(database) == ("Read", "Bash")
        yield one, other


def granted(database: Database) -> tuple[str, ...] | None:
    found = database.read_sync(profiles.get_profile, "guard")
    assert found is not None
    return found.allowed_tools


def tighten(side: Side) -> str:
    """Pushed, and accepted."""
    side.clone.put(GUARD, guard("Read"))
    assert side.sync().accepted == (GUARD,)
    return str(side.clone.git("rev-parse", "HEAD"))


def look(side: Side) -> None:
    asyncio.run(side.look.run_once())


def test_a_conflict_of_another_file_brings_no_revoked_grant_back(sides: tuple[Side, Side]) -> None:
    one, other = sides
    other.clone.put("README.md", "theirs\n")
    commit = tighten(other)
    one.clone.put("README.md", "mine\n")
    other.leave()

    with capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(Conflict, match=f"does not have commit {commit[:12]}, which is in effect"):
                look(one)
    assert [line["event"] for line in lines] == ["vault.behind"]
    assert one.status().behind is None, "nobody has it as his turn yet"
    refused = one.sync()
    assert refused.git is not None
    assert (refused.git.state, refused.accepted) == (GitState.CONFLICT, ())
    assert granted(one.use.database) == ("Read",)

    said = one.status().behind or ""
    assert "ended as conflict (Both sides changed README.md); settle that" in said
    found = asyncio.run(doctor.doctor(one.use, doctor.Examine())).findings
    assert said in [finding.found for finding in found if finding.subject == "vault"]
    with pytest.raises(Conflict, match="does not have commit"):
        asyncio.run(edit_profile(one.use, EditProfile(profile_id="guard", description="mine")))
    assert one.clone.read(GUARD) == guard("Read", "Bash"), "a refused command leaves the document as it was"

    one.clone.vault.resolve("README.md", "ours")
    settled = one.sync()
    assert (settled.behind, one.status().behind) == (None, None)
    assert granted(one.use.database) == ("Read",)
    one.clone.put(GUARD, guard("Read", "Glob"))
    assert one.sync().accepted == (GUARD,)


def test_a_remote_that_is_away_brings_no_removed_server_back(sides: tuple[Side, Side], site: Any) -> None:
    """Nor a profile: what counts is the commit, not the document."""
    one, other = sides
    (other.clone.root / SERVER).unlink()
    assert other.sync().removed == (SERVER,)
    other.leave()
    away = site.bare.rename(site.place / "away.git")
    assert "offline" in (one.sync().behind or "")
    one.clone.put("agent-types/guard/notes.md", "an edit of something else\n")
    assert one.sync().behind is not None
    assert one.use.database.read_sync(servers.list_servers) == []
    away.rename(site.bare)
    assert one.sync().behind is None
    assert one.use.database.read_sync(servers.list_servers) == []
    assert granted(one.use.database) == ("Read", "Bash")


def test_what_the_remote_dropped_on_purpose_is_not_waited_for(sides: tuple[Side, Side], site: Any) -> None:
    one, other = sides
    before = one.clone.git("rev-parse", "HEAD")
    commit = tighten(other)
    other.leave()
    one.clone.git("push", "--quiet", "--force", "origin", f"{before}:main")
    with pytest.raises(Conflict, match="does not have commit"):
        look(one)
    followed = one.sync()
    assert followed.git is not None
    assert followed.git.notes == (f"the remote has commit {commit[:12]} no more, which was in effect",)
    assert granted(one.use.database) == ("Read", "Bash")
    one.leave()
    other.sync()
    assert other.clone.read(GUARD) == guard("Read", "Bash")


def test_of_a_shallow_clone_the_rest_is_fetched_to_find_the_commit(
    sides: tuple[Side, Side], site: Any
) -> None:
    one, other = sides
    commit = tighten(other)
    other.leave()
    one.clone.synced()
    one.clone.put("README.md", "later\n")
    one.clone.synced()
    shallow = site.clone("shallow", "--depth=1")
    status = shallow.vault.run_once(commit)
    assert (status.state, status.dropped) == (GitState.SYNCED, None)
    assert shallow.vault.lacks(commit) is None


def test_a_vault_that_syncs_with_nothing_is_read_as_it_is(sides: tuple[Side, Side], tmp_path: Path) -> None:
    one, other = sides
    tighten(other)
    other.leave()
    one.clone.git("remote", "remove", "origin")
    look(one)
    assert granted(one.use.database) == ("Read", "Bash")


def test_a_host_that_takes_over_while_the_remote_is_away_waits_and_goes_on_by_itself(
    site: Any, here: Any, there: Any, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duty, "LEASE_SECONDS", 0.6)

    def running(clone: Any, stop: Stop) -> Any:
        environment = {
            "ORCHESTRATOR_HOME": str(site.place / f"home-{clone.root.name}"),
            "ORCHESTRATOR_VAULT__PATH": str(clone.root),
            "ORCHESTRATOR_VAULT__GIT__INTERVAL_SECONDS": "0.2",
            "ORCHESTRATOR_VAULT__SCAN_SECONDS": "0.2",
            "ORCHESTRATOR_DATABASE__URL": sqlite_url,
            "ORCHESTRATOR_WORKER__NAME": clone.root.name,
        }
        return app.running(load(environment=environment).settings, stop=stop)

    here.put(GUARD, guard("Read", "Bash"))
    here.synced()

    async def until(at: app.App, holds: Callable[[app.App], Any]) -> None:
        async with at.database.listener() as changed:
            while not await holds(at):
                await changed.wait(0.1)

    async def grants(at: app.App, *tools: str) -> bool:
        found = await at.database.read(profiles.get_profile, "guard")
        return found is not None and found.allowed_tools == tools

    async def recorded(at: app.App, commit: str) -> bool:
        return await at.database.read(vault_commit.in_effect) == commit

    async def held_back(at: app.App) -> bool:
        use = app.use(at, clock=lambda: 1e9, random=lambda: 1)
        return "offline" in ((await vault.vault_status(use, vault.LookAtVault())).behind or "")

    async def scenario() -> None:
        async with running(there, Stop()) as leading:
            await until(leading, lambda at: grants(at, "Read", "Bash"))
            there.put(GUARD, guard("Read"))
            await until(leading, lambda at: grants(at, "Read"))
            await asyncio.to_thread(there.synced)
            commit = there.git("rev-parse", "HEAD")
            await until(leading, lambda at: recorded(at, commit))
        away = site.bare.rename(site.place / "away.git")
        async with running(here, Stop()) as next_one:
            await until(next_one, held_back)
            assert await grants(next_one, "Read")
            away.rename(site.bare)
            await until(next_one, lambda at: asyncio.sleep(0, here.read(GUARD) == guard("Read")))
            assert await grants(next_one, "Read")
            here.put(GUARD, guard("Read", "Glob"))
            await until(next_one, lambda at: grants(at, "Read", "Glob"))

    async def bounded() -> None:
        async with asyncio.timeout(30):
            await scenario()

    asyncio.run(bounded())
