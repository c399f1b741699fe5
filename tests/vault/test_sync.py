"""The database in step with a real tree, on SQLite and PostgreSQL."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from sqlalchemy import Connection, select

from orchestrator.domain.catalog import Ceiling
from orchestrator.domain.profile import AgentProfile
from orchestrator.domain.task import Task, TaskState
from orchestrator.store import profiles, servers
from orchestrator.store.database import Database
from orchestrator.store.tables import events, profile_revisions, sync_state
from orchestrator.store.vault import known as vault_known
from orchestrator.vault.files import VaultUnavailable
from orchestrator.vault.sync import SyncReport, VaultSync

NOW = 1_800_000_000.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "vault"
    put(root, "README.md", "Mine.")
    return root


@pytest.fixture
def sync(root: Path, database: Database) -> VaultSync:
    return VaultSync(root, database, clock=lambda: NOW)


def put(root: Path, path: str, text: str) -> Path:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


def profile(name: str, *tools: str) -> str:
    block = json.dumps({"allowed": tools})
    return f"---\nname: {name}\n---\n## Tools\n```json\n{block}\n```\n"


def look(sync: VaultSync) -> SyncReport:
    return asyncio.run(sync.run_once())


def stored(database: Database, profile_id: str) -> AgentProfile | None:
    return database.read_sync(profiles.get_profile, profile_id)


def facts(database: Database) -> list[tuple[str, str]]:
    def read(tx: Connection) -> list[tuple[str, str]]:
        return [(row.kind, row.subject) for row in tx.execute(select(events).order_by(events.c.id))]

    return database.read_sync(read)


REVIEWER = "agent-types/reviewer/profile.md"
OVERLAY = "projects/acme/agent-types/reviewer/profile.md"
BESIDE_THE_LOOP = (
    *(f"orchestrator.vault.{name}" for name in ("files", "document", "server_document", "plan.decide")),
    *(f"orchestrator.vault.sync.VaultSync.{name}" for name in ("_look", "_apply")),
    *(f"orchestrator.store.database.Database.{name}" for name in ("run_sync", "read_sync")),
    "orchestrator.store.vault",
)
"""What takes long or waits."""


def test_what_the_vault_says_is_in_the_database_after_one_look(
    root: Path, sync: VaultSync, database: Database
) -> None:
    put(root, REVIEWER, profile("Reviewer", "Read", "Grep"))
    put(root, OVERLAY, profile("Acme's reviewer", "Read"))
    put(root, "mcp-servers/linter.md", "---\ncommand: npx\nenv: {T: '${TOKEN}'}\n---\n")
    put(root, "projects/acme/mcp-servers/linter.md", "---\ntransport: http\nurl: http://x/\n---\n")
    report = look(sync)
    assert len(report.accepted) == 4
    assert (report.rejected, report.removed, report.unchanged) == ({}, (), 0)
    found = stored(database, "reviewer")
    assert found is not None
    assert found.allowed_tools == ("Read", "Grep")
    (overlay,) = database.read_sync(profiles.list_overlays, "acme")
    assert (overlay.name, overlay.allowed_tools) == ("Acme's reviewer", ("Read",))
    ours = database.read_sync(servers.get, "linter")
    theirs = database.read_sync(servers.get, "linter", project_id="acme")
    assert ours is not None
    assert theirs is not None
    assert (ours.env, theirs.url) == ({"T": "${TOKEN}"}, "http://x/")
    assert facts(database) == [
        ("profile.changed", "profile/reviewer"),
        ("mcp_server.changed", "mcp_server/linter"),
        ("profile.changed", "project/acme/profile/reviewer"),
        ("mcp_server.changed", "project/acme/mcp_server/linter"),
        ("vault.synced", "vault"),
    ]


def test_a_second_look_changes_nothing_and_announces_nothing(
    root: Path, sync: VaultSync, database: Database
) -> None:
    put(root, REVIEWER, profile("Reviewer"))
    look(sync)
    before = facts(database)
    assert look(sync).unchanged == 1
    assert look(VaultSync(root, database)).unchanged == 1, "nor after a restart"
    assert facts(database) == before


def test_a_changed_file_is_seen_even_when_it_keeps_its_size_and_time(
    root: Path, sync: VaultSync, database: Database
) -> None:
    place = put(root, REVIEWER, profile("Reviewer", "Read"))
    earlier = time.time() - 60
    os.utime(place, (earlier, earlier))
    look(sync)
    place.write_text(profile("Reviewer", "Bash"))
    os.utime(place, (earlier, earlier))
    assert look(sync).accepted == (REVIEWER,)
    found = stored(database, "reviewer")
    assert found is not None
    assert found.allowed_tools == ("Bash",)


def test_a_file_that_does_not_parse_keeps_its_last_good_row_and_is_reported_again_and_again(
    root: Path, sync: VaultSync, database: Database
) -> None:
    place = put(root, REVIEWER, profile("Reviewer", "Read"))
    look(sync)
    place.write_text('---\nname: Reviewer\n---\n## Tools\n```json\n{"allowed": [}\n```\n')
    message = "Invalid JSON in ## Tools: Expecting value (line 6, col 14)"
    for each in (sync, sync, VaultSync(root, database)):
        assert look(each).rejected == {REVIEWER: message}
    found = stored(database, "reviewer")
    assert found is not None
    assert found.allowed_tools == ("Read",)
    assert database.read_sync(profiles.problem, "reviewer") == message
    assert facts(database).count(("profile.rejected", "profile/reviewer")) == 1
    place.write_text(profile("Reviewer", "Grep"))
    assert look(sync).rejected == {}
    assert database.read_sync(profiles.problem, "reviewer") is None


def test_the_cascade_knows_a_removed_profile_by_its_last_revision(
    root: Path, sync: VaultSync, database: Database
) -> None:
    place = put(root, REVIEWER, profile("Reviewer", "Read"))
    look(sync)
    place.unlink()
    assert look(sync).removed == (REVIEWER,)
    assert stored(database, "reviewer") is None
    task = Task(
        id="t",
        project_id="acme",
        title="T",
        prompt="P",
        state=TaskState.READY,
        created_at=NOW,
        updated_at=NOW,
        profile_id="reviewer",
    )
    catalog = database.read_sync(profiles.catalog_for, task, defaults={}, ceiling=Ceiling())
    entry = catalog.profiles["reviewer"]
    assert not entry.present
    assert entry.profile is not None
    assert entry.profile.allowed_tools == ("Read",)
    assert ("profile.removed", "profile/reviewer") in facts(database)


def test_a_removed_overlay_and_server_are_gone(root: Path, sync: VaultSync, database: Database) -> None:
    overlay = put(root, OVERLAY, profile("Reviewer"))
    server = put(root, "mcp-servers/linter.md", "---\ncommand: npx\n---\n")
    look(sync)
    overlay.unlink()
    server.unlink()
    assert len(look(sync).removed) == 2
    assert database.read_sync(profiles.list_overlays, "acme") == []
    assert database.read_sync(servers.list_servers) == []


def test_a_profile_that_comes_back_is_the_same_one_again(
    root: Path, sync: VaultSync, database: Database
) -> None:
    place = put(root, REVIEWER, profile("Reviewer"))
    look(sync)
    place.unlink()
    look(sync)
    put(root, REVIEWER, profile("Reviewer"))
    assert look(sync).accepted == (REVIEWER,)
    found = stored(database, "reviewer")
    assert found is not None
    assert found.name == "Reviewer"


def test_a_moved_profile_takes_its_name_along(root: Path, sync: VaultSync, database: Database) -> None:
    place = put(root, REVIEWER, profile("Reviewer"))
    look(sync)
    place.unlink()
    put(root, "agent-types/critic/profile.md", profile("Reviewer"))
    report = look(sync)
    assert (report.accepted, report.removed) == (("agent-types/critic/profile.md",), (REVIEWER,))
    found = stored(database, "critic")
    assert found is not None
    assert found.name == "Reviewer"


def test_two_profiles_may_swap_their_names(root: Path, sync: VaultSync, database: Database) -> None:
    one, two = "agent-types/one/profile.md", "agent-types/two/profile.md"
    put(root, one, profile("First"))
    put(root, two, profile("Second"))
    look(sync)
    put(root, one, profile("Second"))
    put(root, two, profile("First"))
    assert look(sync).rejected == {}
    found = stored(database, "one"), stored(database, "two")
    assert [profile and profile.name for profile in found] == ["Second", "First"]


def test_a_second_profile_of_one_name_is_refused_until_the_name_is_free(
    root: Path, sync: VaultSync, database: Database
) -> None:
    first = put(root, "agent-types/one/profile.md", profile("Same"))
    second = "agent-types/two/profile.md"
    put(root, second, profile("Same"))
    assert look(sync).rejected == {
        second: "the name 'Same' is that of the profile 'one' already; choose another"
    }
    assert stored(database, "two") is None
    first.write_text(profile("Another"))
    report = look(sync)
    assert (report.rejected, len(report.accepted)) == ({}, 2)


def test_every_accepted_version_is_kept_as_a_revision(
    root: Path, sync: VaultSync, database: Database
) -> None:
    for tool in ("Read", "Grep"):
        put(root, REVIEWER, profile("Reviewer", tool))
        look(sync)
    put(root, REVIEWER, "---")
    look(sync)

    def read(tx: Connection) -> list[list[str]]:
        query = select(profile_revisions.c.content).order_by(profile_revisions.c.id)
        return [row.content["allowed_tools"] for row in tx.execute(query)]

    assert database.read_sync(read) == [["Read"], ["Grep"]]


def test_an_unusable_name_is_reported_and_stored_nowhere_else(
    root: Path, sync: VaultSync, database: Database
) -> None:
    put(root, "agent-types/Reviewer/profile.md", profile("Reviewer"))
    put(root, "agent-types/project:acme:x/profile.md", profile("Stray"))
    report = look(sync)
    assert list(report.rejected) == ["agent-types/Reviewer/profile.md"]
    assert report.strays == ("agent-types/project:acme:x",)
    assert database.read_sync(profiles.list_profiles) == []
    assert look(sync).rejected == report.rejected


def test_warnings_are_reported_and_remembered(root: Path, sync: VaultSync, database: Database) -> None:
    put(root, REVIEWER, profile("Reviewer", "read"))
    warning = "## Tools: allowed: tool 'read' is not known; did you mean 'Read'? (line 6)"
    assert look(sync).warnings == {REVIEWER: (warning,)}
    kept = database.read_sync(lambda tx: tx.execute(select(sync_state.c.warnings)).scalar())
    assert kept == [warning]


def test_a_vault_that_is_missing_or_suddenly_empty_removes_nothing(
    root: Path, sync: VaultSync, database: Database, tmp_path: Path
) -> None:
    put(root, REVIEWER, profile("Reviewer"))
    look(sync)
    root.rename(tmp_path / "elsewhere")
    with pytest.raises(VaultUnavailable, match="cannot be read"):
        look(sync)
    root.mkdir()
    with pytest.raises(VaultUnavailable, match="is empty, but was not before"):
        look(sync)
    assert stored(database, "reviewer") is not None


def test_two_processes_that_look_at_once_write_the_difference_once(
    root: Path, sync: VaultSync, database: Database, open_again: Callable[[], Database]
) -> None:
    for number in range(20):
        put(root, f"agent-types/a{number}/profile.md", profile(f"A{number}"))
    other = VaultSync(root, open_again())

    async def both() -> list[SyncReport]:
        return list(await asyncio.gather(sync.run_once(), other.run_once()))

    reports = asyncio.run(both())
    assert sorted(len(report.accepted) for report in reports) == [0, 20]
    assert len([kind for kind, _ in facts(database) if kind == "profile.changed"]) == 20


def test_files_are_read_beside_the_event_loop(root: Path, sync: VaultSync) -> None:
    """Nothing that looks at files, reads what they say or talks to the database runs in the loop's thread."""
    for number in range(3):
        put(root, f"agent-types/a{number}/profile.md", profile(f"A{number}"))
    put(root, "mcp-servers/linter.md", "---\ncommand: npx\n---\n")
    called: set[str] = set()

    def watch(frame: FrameType, what: str, _: object) -> None:
        if what == "call":
            called.add(f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}")

    async def watched() -> SyncReport:
        sys.setprofile(watch)  # of this thread alone
        try:
            return await sync.run_once()
        finally:
            sys.setprofile(None)

    assert len(asyncio.run(watched()).accepted) == 4
    assert "orchestrator.vault.sync.VaultSync.run_once" in called
    assert [one for one in called if one.startswith(BESIDE_THE_LOOP)] == []


def test_what_is_remembered_of_the_database_is_what_it_says(
    root: Path, sync: VaultSync, database: Database
) -> None:
    """Whatever happens to the vault, and whoever writes what it says."""
    other = VaultSync(root, database, clock=lambda: NOW)
    steps: list[Callable[[], object]] = [
        lambda: put(root, "agent-types/a/profile.md", profile("A", "Read")),
        lambda: put(root, "agent-types/b/profile.md", profile("B", "Read")),
        lambda: put(root, "agent-types/b/profile.md", profile("A", "Read")),  # a name that is taken
        lambda: put(root, "agent-types/a/profile.md", profile("C", "Read")),
        lambda: put(root, "mcp-servers/x.md", "---\ncommand: [\n---\n"),
        lambda: put(root, "mcp-servers/x.md", "---\ncommand: y\n---\n"),
        lambda: (put(root, "agent-types/d/profile.md", profile("D")), look(other)),
        (root / "agent-types/a/profile.md").unlink,
        lambda: (put(root, "agent-types/a/profile.md", profile("E")), look(other), look(other)),
        lambda: put(root, "projects/p/agent-types/a/profile.md", profile("A")),
    ]
    for step in steps:
        step()
        look(sync)
        remembered = asyncio.run(sync._ask())
        assert remembered == database.read_sync(vault_known)
        assert look(sync).accepted == ()


def test_a_vault_that_did_not_change_is_not_asked_for_again(root: Path, sync: VaultSync) -> None:
    put(root, "agent-types/a/profile.md", profile("A", "Read"))
    look(sync)
    put(root, "agent-types/a/profile.md", profile("A", "Grep"))
    look(sync)
    assert asyncio.run(sync._ask()) is asyncio.run(sync._ask())
