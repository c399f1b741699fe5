"""Profiles: what is stored comes back, "inherit" stays "inherit", and a task finds all it refers to."""

from collections.abc import Callable
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, text, update

from orchestrator.domain.catalog import Catalog, Ceiling, ProfileEntry, Standing
from orchestrator.domain.errors import AlreadyExists, InvalidInput, NotFound
from orchestrator.domain.manifest import InstallManifest
from orchestrator.domain.mcp import McpServer
from orchestrator.domain.profile import MERGED_FIELDS, AgentProfile
from orchestrator.domain.project import Project
from orchestrator.domain.task import Task
from orchestrator.store import profiles, projects, servers, tasks
from orchestrator.store.database import Database
from orchestrator.store.profile_rows import LIMITS, profile_of, values_of
from orchestrator.store.tables import agent_profiles, bindings, profile_overlays, sync_state

NOW = 1_800_000_000.0

FULL = AgentProfile(
    id="reviewer",
    name="Reviewer",
    description="Reads.",
    tags=("a", "b"),
    install=InstallManifest(npm=("x",), commands=("git",)),
    harness="claude",
    model="claude-sonnet-4-5",
    permission_mode="plan",
    allowed_tools=("Read", "mcp__lint__run"),
    denied_tools=("Bash",),
    mcp_servers=("lint", "docs"),
    optional_servers=("docs",),
    system_prompt_suffix="## Role\n\nYou review.",
    max_tokens_per_task=1000,
    max_turns=3,
    max_budget_usd=0.5,
    timeout_seconds=60.0,
    settings={"k": [1, {"x": None}]},
)
BARE = AgentProfile(id="bare", name="Bare")


def create(database: Database, *wanted: AgentProfile) -> None:
    for profile in wanted:
        database.run_sync(profiles.create_profile, profile, now=NOW)


@pytest.mark.parametrize("profile", [FULL, BARE, replace(BARE, allowed_tools=(), mcp_servers=())])
def test_a_profile_comes_back_as_it_was_created(database: Database, profile: AgentProfile) -> None:
    create(database, profile)
    assert database.read_sync(profiles.get_profile, profile.id) == profile


def test_what_is_not_there_is_none(database: Database) -> None:
    assert database.read_sync(profiles.get_profile, "nobody") is None


def test_profiles_are_listed_by_name(database: Database) -> None:
    create(database, FULL, BARE, AgentProfile(id="zed", name="Alpha"))
    assert [one.name for one in database.read_sync(profiles.list_profiles)] == ["Alpha", "Bare", "Reviewer"]


def test_ids_and_names_are_used_once(database: Database) -> None:
    create(database, BARE)
    for clash in (BARE, AgentProfile(id="other", name="Bare")):
        with pytest.raises(AlreadyExists):
            create(database, clash)


def test_an_update_changes_only_what_it_names(database: Database) -> None:
    create(database, FULL)
    changed = database.run_sync(
        profiles.update_profile, "reviewer", now=NOW + 1, model=None, allowed_tools=(), tags=("c",)
    )
    assert changed == replace(FULL, model=None, allowed_tools=(), tags=("c",))
    assert database.read_sync(profiles.get_profile, "reviewer") == changed


def test_an_update_is_refused_by_field(database: Database) -> None:
    create(database, FULL, BARE)
    with pytest.raises(InvalidInput, match="no field colour"):
        database.run_sync(profiles.update_profile, "bare", now=NOW, colour="red")
    with pytest.raises(InvalidInput):
        database.run_sync(lambda tx: profiles.update_profile(tx, "bare", now=NOW, **{"id": "other"}))
    with pytest.raises(AlreadyExists):
        database.run_sync(profiles.update_profile, "bare", now=NOW, name="Reviewer")
    with pytest.raises(NotFound):
        database.run_sync(profiles.update_profile, "nobody", now=NOW, name="X")


def test_inherited_values_are_stored_as_the_specification_says(database: Database) -> None:
    create(database, BARE)
    columns = "model, permission_mode, allowed_tools, mcp_servers, system_prompt_suffix, install"
    row = database.read_sync(lambda tx: tx.execute(text(f"SELECT {columns} FROM agent_profiles")).one())
    assert tuple(row) == ("", "", "[]", "[]", "", "{}")


def test_a_row_of_the_bare_specification_can_be_read(database: Database) -> None:
    """Every column that is not named has the value that means inherit; '{}' is how lists of servers began."""
    statement = "INSERT INTO agent_profiles (id, name, created_at, updated_at) VALUES ('old', 'Old', 1, 1)"
    database.run_sync(lambda tx: tx.execute(text(statement)))
    assert database.read_sync(profiles.get_profile, "old") == AgentProfile(id="old", name="Old")


def test_the_names_of_inline_servers_are_kept(database: Database) -> None:
    create(database, BARE)
    inline = {"lint": {"command": "lint"}, "docs": {}}
    database.run_sync(lambda tx: tx.execute(update(agent_profiles).values(mcp_servers=inline)))
    found = database.read_sync(profiles.get_profile, "bare")
    assert found is not None
    assert found.mcp_servers == ("docs", "lint")


def test_deleting_clears_every_reference(database: Database, ask: Callable[..., Task]) -> None:
    create(database, FULL)
    ask(task_id="t", profile_id="reviewer")
    acme = database.read_sync(projects.get, "acme")
    assert acme is not None
    database.run_sync(projects.update, replace(acme, default_profile_id="reviewer"))
    assert database.run_sync(profiles.delete_profile, "reviewer")
    task, project = database.read_sync(tasks.get, "t"), database.read_sync(projects.get, "acme")
    assert task is not None
    assert project is not None
    assert (task.profile_id, project.default_profile_id) == (None, None)
    assert not database.run_sync(profiles.delete_profile, "reviewer")


def test_a_removed_profile_is_gone_but_remembered(database: Database, ask: Callable[..., Task]) -> None:
    create(database, FULL)
    task = ask(profile_id="reviewer")
    assert database.run_sync(profiles.remove_profile, "reviewer", now=NOW)
    assert not database.run_sync(profiles.remove_profile, "reviewer", now=NOW)
    assert database.read_sync(profiles.get_profile, "reviewer") is None
    assert database.read_sync(profiles.list_profiles) == []
    entry = catalog(database, task).profiles["reviewer"]
    assert not entry.present
    assert entry.profile is not None
    assert entry.profile.allowed_tools == FULL.allowed_tools
    create(database, AgentProfile(id="second", name="Reviewer"))  # its name is free
    database.run_sync(profiles.create_profile, replace(FULL, name="Back"), now=NOW)
    assert catalog(database, task).profiles["reviewer"] == ProfileEntry(profile=replace(FULL, name="Back"))


# What a task's resolution is given


def catalog(database: Database, task: Task) -> Catalog:
    return database.read_sync(profiles.catalog_for, task, defaults={}, ceiling=Ceiling(max_turns=5))


def test_a_catalog_has_both_references_and_the_project_s_overlays(
    database: Database, ask: Callable[..., Task]
) -> None:
    create(database, FULL, BARE, AgentProfile(id="unrelated", name="Unrelated"))
    task = ask(profile_id="reviewer")
    acme = database.read_sync(projects.get, "acme")
    assert acme is not None
    database.run_sync(projects.update, replace(acme, default_profile_id="bare"))
    overlay = AgentProfile(id="reviewer", name="Ours", model="opus")
    database.run_sync(profiles.put_overlay, "acme", overlay, now=NOW)
    database.run_sync(profiles.put_overlay, "other", replace(overlay, model="haiku"), now=NOW)
    found = catalog(database, task)
    assert (found.task_profile_id, found.project_profile_id) == ("reviewer", "bare")
    assert found.profiles == {"reviewer": ProfileEntry(profile=FULL), "bare": ProfileEntry(profile=BARE)}
    assert found.overlays == {"reviewer": ProfileEntry(profile=overlay)}
    assert found.ceiling.max_turns == 5
    assert database.run_sync(profiles.remove_overlay, "acme", "reviewer", now=NOW)
    assert not catalog(database, task).overlays["reviewer"].present
    assert database.read_sync(profiles.list_overlays, "acme") == []


def unreadable(tx: Connection, project_id: str, profile_id: str) -> None:
    values = {"kind": "profile", "project_id": project_id, "document_id": profile_id}
    tx.execute(
        insert(sync_state).values(
            path=f"{project_id}/{profile_id}", digest="d", error="Bad YAML", synced_at=NOW, **values
        )
    )


def test_a_document_that_does_not_parse_leaves_the_last_good_one(
    database: Database, ask: Callable[..., Task]
) -> None:
    create(database, FULL)
    task = ask(profile_id="reviewer")
    database.run_sync(unreadable, "", "reviewer")
    database.run_sync(unreadable, "acme", "reviewer")
    found = catalog(database, task)
    assert found.profiles["reviewer"] == ProfileEntry(profile=FULL, valid=False, error="Bad YAML")
    assert found.overlays["reviewer"] == ProfileEntry(profile=None, valid=False, error="Bad YAML")
    assert database.read_sync(profiles.problem, "reviewer") == "Bad YAML"
    assert database.read_sync(profiles.problem, "bare") is None


@pytest.mark.parametrize(
    ("governed", "binding", "expected"),
    [
        ({}, None, Standing.USABLE),
        ({"disabled_at": 1.0, "archived_at": 1.0}, None, Standing.DISABLED),
        ({"archived_at": 1.0}, None, Standing.ARCHIVED),
        ({"requested_by": "ann"}, None, Standing.PENDING),
        ({"requested_by": "ann", "approved_at": 1.0}, None, Standing.USABLE),
        ({"owner": "ann"}, None, Standing.UNBOUND),
        ({"owner": "ann", "instance_shared": True}, None, Standing.UNBOUND),
        ({"owner": "ann"}, {}, Standing.USABLE),
        ({"owner": "ann"}, {"archived_at": 1.0}, Standing.UNBOUND),
        ({}, {"archived_at": 1.0}, Standing.UNBOUND),
        ({"disabled_at": 1.0}, {}, Standing.DISABLED),
    ],
)
def test_who_governs_a_profile_decides_its_standing(
    database: Database,
    ask: Callable[..., Task],
    governed: dict[str, object],
    binding: dict[str, object] | None,
    expected: Standing,
) -> None:
    create(database, FULL)
    task = ask(profile_id="reviewer")
    if governed:
        database.run_sync(lambda tx: tx.execute(update(agent_profiles).values(governed)))
    if binding is not None:
        row = {
            "project_id": "acme",
            "profile_id": "reviewer",
            "created_at": NOW,
            "updated_at": NOW,
            **binding,
        }
        database.run_sync(lambda tx: tx.execute(insert(bindings).values(row)))
    assert catalog(database, task).profiles["reviewer"].standing is expected


def test_a_project_s_servers_stand_beside_the_system_s(database: Database, ask: Callable[..., Task]) -> None:
    ours = McpServer(
        name="lint", transport="http", project_id="acme", url="https://x", headers={"A": "${TOKEN}"}
    )
    theirs = McpServer(name="lint", transport="stdio", command="lint", args=("-v",), env={"K": "${V}"})
    foreign = McpServer(name="lint", transport="stdio", project_id="other", command="no")
    for server in (ours, theirs, foreign, replace(ours, url="https://y")):
        database.run_sync(servers.put, server, digest="d", now=NOW)
    found = catalog(database, ask())
    assert found.system_servers == {"lint": theirs}
    assert found.project_servers == {"lint": replace(ours, url="https://y")}
    assert database.read_sync(servers.get, "lint", project_id="acme") == replace(ours, url="https://y")
    assert database.run_sync(servers.remove, "lint")
    assert not database.run_sync(servers.remove, "lint")
    assert database.read_sync(servers.get, "lint") is None


# The one place where an empty value becomes "inherit"

names = st.lists(st.text(min_size=1), max_size=3).map(tuple)
written = st.builds(
    AgentProfile,
    id=st.just("x"),
    name=st.text(min_size=1),
    description=st.text(),
    tags=names,
    harness=st.none() | st.sampled_from(["claude", "codex"]),
    model=st.none() | st.text(min_size=1),
    permission_mode=st.none() | st.text(min_size=1),
    allowed_tools=st.none() | names,
    denied_tools=st.none() | names,
    mcp_servers=st.none() | names,
    system_prompt_suffix=st.none() | st.text(min_size=1),
    max_turns=st.none() | st.integers(1, 10**6),
    max_budget_usd=st.none() | st.floats(0.01, 1e6),
    settings=st.none() | st.dictionaries(st.text(), st.integers(), min_size=1),
)


@given(written)
def test_a_row_says_what_the_profile_said(profile: AgentProfile) -> None:
    assert profile_of(values_of(profile), "x") == profile  # type: ignore[arg-type]


def test_both_tables_hold_every_field_of_a_profile() -> None:
    for table in (agent_profiles, profile_overlays):
        held = set(table.c.keys()) | set(LIMITS) | {"id", "optional_servers"}  # marks in mcp_servers
        assert {field.name for field in fields(AgentProfile)} <= held
    assert set(LIMITS) <= set(MERGED_FIELDS)


def test_projects_come_back_as_they_were_written(database: Database, acme: Project) -> None:
    with pytest.raises(AlreadyExists):
        database.run_sync(projects.create, acme)
    changed = replace(
        acme, weight=2.5, max_concurrent=3, budget_usd_per_day=1.5, paused=True, updated_at=NOW + 1
    )
    database.run_sync(projects.update, changed)
    assert database.read_sync(projects.get, "acme") == changed
    assert database.read_sync(projects.list_projects) == [changed]
    for wrong in (replace(acme, id="nowhere"), replace(acme, default_profile_id="nobody")):
        with pytest.raises(NotFound):
            database.run_sync(projects.update, wrong)
