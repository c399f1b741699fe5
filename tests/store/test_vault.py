"""The vault as the database knows it."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection, select

from orchestrator.domain.errors import Conflict
from orchestrator.domain.mcp import McpServer
from orchestrator.domain.profile import AgentProfile
from orchestrator.domain.vault import (
    Accepted,
    Document,
    KnownDocument,
    Rejected,
    Removed,
    VaultChanges,
    VaultKnown,
)
from orchestrator.store import profiles, vault, vault_commit
from orchestrator.store.database import Database
from orchestrator.store.tables import agent_profiles, events, mcp_servers

NOW = 1_800_000_000.0

REVIEWER = Document(path="agent-types/reviewer/profile.md", kind="profile", id="reviewer")
LINTER = Document(path="mcp-servers/linter.md", kind="mcp_server", id="linter")


def accepted(digest: str = "1", *, before: str | None = None, name: str = "Reviewer") -> Accepted:
    profile = AgentProfile(id="reviewer", name=name, allowed_tools=())
    return Accepted(
        document=REVIEWER, digest=digest, definition=profile, warnings=("careful",), before=before
    )


def apply(database: Database, *, now: float = NOW, **changes: object) -> None:
    database.run_sync(vault.apply, VaultChanges(**changes), now)  # type: ignore[arg-type]


def known(database: Database) -> VaultKnown:
    return database.read_sync(vault.known)


def test_an_empty_database_knows_nothing(database: Database) -> None:
    assert known(database) == VaultKnown()


def test_what_was_accepted_is_known_with_its_digest_and_warnings(database: Database) -> None:
    apply(database, accepted=(accepted(),))
    assert known(database) == VaultKnown(
        documents={
            REVIEWER.path: KnownDocument(document=REVIEWER, digest="1", warnings=("careful",)),
        },
        names={"reviewer": "Reviewer"},
    )


def test_no_tools_at_all_survives_the_way_through_the_database(database: Database) -> None:
    apply(database, accepted=(accepted(),))
    found = database.read_sync(profiles.get_profile, "reviewer")
    assert found is not None
    assert found.allowed_tools == ()


def test_a_rejection_changes_nothing_but_what_is_known_of_the_document(database: Database) -> None:
    apply(database, accepted=(accepted(),))
    apply(database, rejected=(Rejected(document=REVIEWER, digest="2", error="no", before="1"),))
    assert known(database).documents[REVIEWER.path].error == "no"
    found = database.read_sync(profiles.get_profile, "reviewer")
    assert found is not None
    assert found.name == "Reviewer"


def test_an_update_keeps_when_it_was_created_and_who_governs_it(database: Database) -> None:
    apply(database, accepted=(accepted(),))
    database.run_sync(lambda tx: tx.execute(agent_profiles.update().values(disabled_at=5.0, owner="ada")))
    apply(database, accepted=(accepted("2", before="1", name="New"),), now=NOW + 1)

    def read(tx: Connection) -> tuple[object, ...]:
        row = tx.execute(select(agent_profiles)).mappings().one()
        return row["name"], row["created_at"], row["updated_at"], row["disabled_at"], row["owner"]

    assert database.read_sync(read) == ("New", NOW, NOW + 1, 5.0, "ada")


def test_a_changed_server_forgets_what_its_last_probe_found(database: Database) -> None:
    server = McpServer(name="linter", transport="stdio", command="npx")
    first = Accepted(document=LINTER, digest="1", definition=server)
    apply(database, accepted=(first,))
    database.run_sync(lambda tx: tx.execute(mcp_servers.update().values(probed_at=NOW, probed_tools=["x"])))
    changed = replace(first, digest="2", definition=replace(server, command="node"), before="1")
    apply(database, accepted=(changed,))

    def read(tx: Connection) -> tuple[object, ...]:
        row = tx.execute(select(mcp_servers)).mappings().one()
        return row["command"], row["probed_at"], row["probed_tools"]

    assert database.read_sync(read) == ("node", None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"accepted": (accepted("2"),)},
        {"accepted": (accepted("2", before="0"),)},
        {"rejected": (Rejected(document=REVIEWER, digest="2", error="no", before="0"),)},
        {"removed": (Removed(document=REVIEWER, before="0"),)},
    ],
)
def test_a_difference_computed_from_another_state_is_refused_as_a_whole(
    database: Database, changes: dict[str, object]
) -> None:
    apply(database, accepted=(accepted(),))
    before = known(database)
    with pytest.raises(Conflict, match="was read by another process meanwhile"):
        apply(database, **changes)
    assert known(database) == before


def test_facts_are_announced_with_the_change(database: Database) -> None:
    apply(database, accepted=(accepted(),))
    apply(database, removed=(Removed(document=REVIEWER, before="1"),))

    def read(tx: Connection) -> list[tuple[str, object]]:
        return [(row.kind, row.data.get("path")) for row in tx.execute(select(events).order_by(events.c.id))]

    assert database.read_sync(read) == [
        ("profile.changed", REVIEWER.path),
        ("vault.synced", None),
        ("profile.removed", REVIEWER.path),
        ("vault.synced", None),
    ]
    assert known(database).documents == {}


def test_of_two_who_record_what_is_in_effect_the_one_who_knew_less_changes_nothing(
    database: Database,
) -> None:
    assert database.read_sync(vault_commit.in_effect) is None
    assert database.run_sync(vault_commit.record, "a", instead_of=None)
    assert not database.run_sync(vault_commit.record, "b", instead_of=None)
    assert database.run_sync(vault_commit.record, "c", instead_of="a")
    assert not database.run_sync(vault_commit.record, "d", instead_of="a")
    assert database.read_sync(vault_commit.in_effect) == "c"
