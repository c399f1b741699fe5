"""The vault as the database knows it: what was read last, and the difference written at once."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, Text, delete, insert, select, type_coerce, update
from sqlalchemy import func as sql
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from orchestrator.domain.errors import Conflict
from orchestrator.domain.event import Event
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
from orchestrator.store import profiles, servers, tasks
from orchestrator.store.outbox import announce, mark_rules_changed
from orchestrator.store.profile_rows import values_of
from orchestrator.store.servers import SYSTEM
from orchestrator.store.tables import (
    agent_profiles,
    events,
    mcp_servers,
    profile_overlays,
    profile_revisions,
    sync_state,
)

_CHUNK: Final = 500
_WRITERS: Final = 0x7661756C74  # an advisory lock of ours; any number that nobody else uses


def known(tx: Connection) -> VaultKnown:
    """All documents as last read, and the names in use."""
    columns = sync_state.c
    query = select(
        columns.path,
        columns.kind,
        columns.project_id,
        columns.document_id,
        columns.digest,
        columns.error,
        # Thousands of rows have none; decoding each costs more than reading it.
        type_coerce(columns.warnings, Text),
    )
    documents = {}
    for path, kind, project_id, document_id, digest, error, warnings in tx.execute(query).all():
        documents[path] = KnownDocument(
            document=Document(path=path, kind=kind, id=document_id, project_id=project_id or None),
            digest=digest,
            error=error,
            warnings=() if warnings == "[]" else tuple(json.loads(warnings)),
        )
    names = tx.execute(select(agent_profiles.c.id, agent_profiles.c.name)).all()
    return VaultKnown(documents=documents, names={row.id: row.name for row in names})


def known_unless(tx: Connection, stamp: int | None) -> tuple[int, VaultKnown | None]:
    """`known` with its stamp; `None` when nothing was announced since the stamp given, and so nothing of it
    has changed."""
    now = _stamp(tx)
    return now, (None if now == stamp else known(tx))


def stamp_after(tx: Connection, stamp: int, count: int) -> int | None:
    """The stamp now, when these many events and no others were announced since the one given."""
    since = tx.execute(select(sql.count(), sql.max(events.c.id)).where(events.c.id > stamp)).one()
    return since[1] if since[0] == count else None


def _stamp(tx: Connection) -> int:
    """The last event: whoever writes definitions announces it, in the order of commits."""
    return tx.execute(select(sql.max(events.c.id))).scalar() or 0


def known_digest(tx: Connection, path: str) -> str | None:
    """That of one document as last read; `None` when there was none."""
    return tx.execute(select(sync_state.c.digest).where(sync_state.c.path == path)).scalar()


def apply(tx: Connection, changes: VaultChanges, now: float) -> int:
    """Write the difference and announce it. Returns how many events that makes.

    Raises Conflict when a document was recorded by someone else since the difference was computed.
    """
    results: list[Accepted | Rejected] = [*changes.accepted, *changes.rejected]
    _check_basis(tx, [*results, *changes.removed])
    for item in changes.removed:
        _remove(tx, item, now)
    profiles = [item for item in changes.accepted if isinstance(item.definition, AgentProfile)]
    _write_profiles(tx, [item for item in profiles if item.document.project_id is None], now)
    _write_overlays(tx, [item for item in profiles if item.document.project_id is not None], now)
    _write_servers(tx, [item for item in changes.accepted if isinstance(item.definition, McpServer)], now)
    _write_revisions(tx, profiles, now)
    _write_state(tx, results, now)
    facts = list(_events(changes, now))
    announce(tx, *facts)
    tasks.reconsider(tx)  # what a profile or a missing server holds may go on
    mark_rules_changed(tx)
    return len(facts)


def _check_basis(tx: Connection, items: Sequence[Accepted | Rejected | Removed]) -> None:
    if tx.dialect.name == "postgresql":
        # A row that is not there yet cannot be locked; SQLite has one writer anyway.
        tx.execute(select(sql.pg_advisory_xact_lock(_WRITERS)))
    stored: dict[str, str] = {}
    columns = select(sync_state.c.path, sync_state.c.digest)
    for chunk in _chunks([item.document.path for item in items]):
        rows = tx.execute(columns.where(sync_state.c.path.in_(chunk)))
        stored |= {row.path: row.digest for row in rows}
    for item in items:
        if stored.get(item.document.path) != item.before:
            raise Conflict(f"{item.document.path} was read by another process meanwhile; look again")


def _write_profiles(tx: Connection, items: Sequence[Accepted], now: float) -> None:
    rows = [{"id": item.document.id, **_definition(item, now)} for item in items]
    _make_way(tx, {row["id"]: row["name"] for row in rows})
    _upsert(tx, agent_profiles, ("id",), rows)


def _make_way(tx: Connection, names: Mapping[str, str]) -> None:
    """Take the new names from profiles that get another one in the same go: two may have swapped theirs."""
    for chunk in _chunks(list(names.values())):
        query = select(agent_profiles.c.id, agent_profiles.c.name).where(agent_profiles.c.name.in_(chunk))
        for profile_id, name in tx.execute(query).all():
            if names.get(profile_id, name) != name:
                _rename(tx, profile_id, f"{profile_id} (renamed)")


def _rename(tx: Connection, profile_id: str, name: str) -> None:
    tx.execute(update(agent_profiles).where(agent_profiles.c.id == profile_id).values(name=name))


def _write_overlays(tx: Connection, items: Sequence[Accepted], now: float) -> None:
    rows = [
        {
            "project_id": item.document.project_id,
            "profile_id": item.document.id,
            **_definition(item, now),
        }
        for item in items
    ]
    _upsert(tx, profile_overlays, ("project_id", "profile_id"), rows)


def _definition(item: Accepted, now: float) -> dict[str, Any]:
    assert isinstance(item.definition, AgentProfile)
    return {
        **values_of(item.definition),
        "digest": item.digest,
        "created_at": now,
        "updated_at": now,
        "removed_at": None,
    }


def _write_servers(tx: Connection, items: Sequence[Accepted], now: float) -> None:
    rows = []
    for item in items:
        server = item.definition
        assert isinstance(server, McpServer)
        rows.append(
            {
                "project_id": server.project_id or SYSTEM,
                "name": server.name,
                "transport": server.transport,
                "description": server.description,
                "command": server.command,
                "args": list(server.args),
                "env": dict(server.env),
                "url": server.url,
                "headers": dict(server.headers),
                "digest": item.digest,
                "created_at": now,
                "updated_at": now,
                # What a probe said was about the server as it was.
                "probed_at": None,
                "probe_error": None,
                "probed_tools": None,
            }
        )
    _upsert(tx, mcp_servers, ("project_id", "name"), rows)


def _write_revisions(tx: Connection, items: Sequence[Accepted], now: float) -> None:
    rows = [
        {
            "project_id": item.document.project_id or SYSTEM,
            "profile_id": item.document.id,
            "digest": item.digest,
            "content": values_of(item.definition),
            "created_at": now,
        }
        for item in items
        if isinstance(item.definition, AgentProfile)
    ]
    if rows:
        tx.execute(insert(profile_revisions), rows)


def _write_state(tx: Connection, items: Sequence[Accepted | Rejected], now: float) -> None:
    rows = [
        {
            "path": item.document.path,
            "kind": item.document.kind,
            "project_id": item.document.project_id or SYSTEM,
            "document_id": item.document.id,
            "digest": item.digest,
            "error": item.error if isinstance(item, Rejected) else None,
            "warnings": list(item.warnings),
            "synced_at": now,
        }
        for item in items
    ]
    _upsert(tx, sync_state, ("path",), rows)


def _remove(tx: Connection, item: Removed, now: float) -> None:
    """A profile's row stays, since tasks name it and its last revision still counts; its name is free."""
    document = item.document
    tx.execute(delete(sync_state).where(sync_state.c.path == document.path))
    if document.kind == "mcp_server":
        servers.remove(tx, document.id, project_id=document.project_id)
    elif document.project_id is None:
        profiles.remove_profile(tx, document.id, now=now)
    else:
        profiles.remove_overlay(tx, document.project_id, document.id, now=now)


def _upsert(tx: Connection, table: Table, key: tuple[str, ...], rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    statement: Any = (postgresql_insert if tx.dialect.name == "postgresql" else sqlite_insert)(table)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in (*key, "created_at")}
    tx.execute(statement.on_conflict_do_update(index_elements=key, set_=changed), rows)


def _chunks(items: Sequence[str]) -> Iterable[Sequence[str]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))


def _events(changes: VaultChanges, now: float) -> Iterable[Event]:
    for accepted in changes.accepted:
        yield _event("changed", accepted.document, now, digest=accepted.digest, warnings=accepted.warnings)
    for rejected in changes.rejected:
        yield _event("rejected", rejected.document, now, error=rejected.error)
    for removed in changes.removed:
        yield _event("removed", removed.document, now)
    yield Event(
        kind="vault.synced",
        subject="vault",
        at=now,
        data={
            "accepted": len(changes.accepted),
            "rejected": len(changes.rejected),
            "removed": len(changes.removed),
            "unchanged": changes.unchanged,
            "seconds": round(changes.seconds, 3),
        },
    )


def _event(what: str, document: Document, now: float, **data: Any) -> Event:
    scope = f"project/{document.project_id}/" if document.project_id else ""
    return Event(
        kind=f"{document.kind}.{what}",
        subject=f"{scope}{document.kind}/{document.id}",
        at=now,
        data={"path": document.path, **data},
        project_id=document.project_id,
    )
