"""Profiles: rows in, rows out, and all that resolving a task's profile needs in one read."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping, select
from sqlalchemy.exc import IntegrityError

from orchestrator.domain.catalog import Catalog, Ceiling, ProfileEntry, Standing
from orchestrator.domain.errors import AlreadyExists, InvalidInput, NotFound
from orchestrator.domain.profile import AgentProfile, EffectiveProfile
from orchestrator.domain.task import Task
from orchestrator.store import servers
from orchestrator.store.outbox import mark_rules_changed
from orchestrator.store.profile_rows import profile_of, values_of
from orchestrator.store.tables import (
    agent_profiles,
    bindings,
    profile_overlays,
    projects,
    schedules,
    sync_state,
    tasks,
)

_FIELDS: Final = frozenset(field.name for field in fields(AgentProfile)) - {"id"}


def create_profile(tx: Connection, profile: AgentProfile, *, now: float, digest: str = "") -> None:
    """Insert a profile, or bring back one that was removed. Raises AlreadyExists for its id or its name."""
    values = {**values_of(profile), "digest": digest, "removed_at": None, "updated_at": now}
    removed = (agent_profiles.c.id == profile.id) & agent_profiles.c.removed_at.is_not(None)
    try:
        if not tx.execute(sa.update(agent_profiles).where(removed).values(values)).rowcount:
            tx.execute(sa.insert(agent_profiles).values(id=profile.id, created_at=now, **values))
    except IntegrityError as error:
        raise AlreadyExists(
            f"profile {profile.id} or another one named {profile.name!r} already exists", field="id"
        ) from error
    mark_rules_changed(tx)


def get_profile(tx: Connection, profile_id: str) -> AgentProfile | None:
    """`None` when there is none, or its document was removed."""
    here = (agent_profiles.c.id == profile_id) & agent_profiles.c.removed_at.is_(None)
    row = tx.execute(select(agent_profiles).where(here)).mappings().first()
    return None if row is None else profile_of(row, profile_id)


def id_of_name(tx: Connection, name: str) -> str | None:
    """Which profile has this name; `None` when nobody has it."""
    return tx.execute(select(agent_profiles.c.id).where(agent_profiles.c.name == name)).scalar()


def list_profiles(tx: Connection) -> list[AgentProfile]:
    """All of them by name, without the removed ones."""
    query = select(agent_profiles).where(agent_profiles.c.removed_at.is_(None))
    rows = tx.execute(query.order_by(agent_profiles.c.name, agent_profiles.c.id)).mappings()
    return [profile_of(row, row["id"]) for row in rows]


def update_profile(
    tx: Connection, profile_id: str, *, now: float, digest: str | None = None, **changes: Any
) -> AgentProfile:
    """Change the named fields of an `AgentProfile`; `None` means inherit.

    Raises NotFound, InvalidInput for a field it does not have, AlreadyExists for another's name.
    """
    unknown = sorted(changes.keys() - _FIELDS)
    if unknown:
        raise InvalidInput(f"a profile has no field {unknown[0]}", field=unknown[0])
    known = get_profile(tx, profile_id)
    if known is None:
        raise NotFound(f"profile {profile_id} not found", field="profile_id")
    profile = replace(known, **changes)
    values = {**values_of(profile), "updated_at": now}
    if digest is not None:
        values["digest"] = digest
    try:
        tx.execute(sa.update(agent_profiles).where(agent_profiles.c.id == profile_id).values(values))
    except IntegrityError as error:
        raise AlreadyExists(f"another profile named {profile.name!r} already exists", field="name") from error
    mark_rules_changed(tx)
    return profile


def remove_profile(tx: Connection, profile_id: str, *, now: float) -> bool:
    """Its document is gone. The row stays, so that references hold and its last revision is known; its name
    is free for another. False when there was none."""
    here = (agent_profiles.c.id == profile_id) & agent_profiles.c.removed_at.is_(None)
    name = agent_profiles.c.name + f" (removed: {profile_id})"
    gone = sa.update(agent_profiles).where(here).values(removed_at=now, name=name)
    mark_rules_changed(tx)
    return tx.execute(gone).rowcount == 1


def delete_profile(tx: Connection, profile_id: str) -> bool:
    """Clear every reference to it, then delete it. False when there was none."""
    for column in (tasks.c.profile_id, projects.c.default_profile_id, schedules.c.profile_id):
        tx.execute(sa.update(column.table).where(column == profile_id).values({column.name: None}))
    tx.execute(sa.delete(bindings).where(bindings.c.profile_id == profile_id))
    mark_rules_changed(tx)
    return tx.execute(sa.delete(agent_profiles).where(agent_profiles.c.id == profile_id)).rowcount == 1


def problem(tx: Connection, profile_id: str, *, project_id: str = "") -> str | None:
    """What is wrong with the document as last read; `None` when it is good or there is none."""
    return tx.execute(
        select(sync_state.c.error).where(
            sync_state.c.kind == "profile",
            sync_state.c.document_id == profile_id,
            sync_state.c.project_id == project_id,
            sync_state.c.error.is_not(None),
        )
    ).scalar()


def put_overlay(
    tx: Connection, project_id: str, profile: AgentProfile, *, now: float, digest: str = ""
) -> None:
    """Make this the project's override of the profile of that id."""
    values = {**values_of(profile), "digest": digest, "removed_at": None, "updated_at": now}
    here = _overlay(project_id, profile.id)
    if not tx.execute(sa.update(profile_overlays).where(*here).values(values)).rowcount:
        key = {"project_id": project_id, "profile_id": profile.id}
        tx.execute(sa.insert(profile_overlays).values(**key, created_at=now, **values))
    mark_rules_changed(tx)


def remove_overlay(tx: Connection, project_id: str, profile_id: str, *, now: float) -> bool:
    """The override's document is gone; the row stays. False when there was none."""
    here = (*_overlay(project_id, profile_id), profile_overlays.c.removed_at.is_(None))
    mark_rules_changed(tx)
    return tx.execute(sa.update(profile_overlays).where(*here).values(removed_at=now)).rowcount == 1


def list_overlays(tx: Connection, project_id: str) -> list[AgentProfile]:
    """The project's overrides by the id of the profile, without the removed ones."""
    here = (profile_overlays.c.project_id == project_id) & profile_overlays.c.removed_at.is_(None)
    rows = tx.execute(select(profile_overlays).where(here).order_by(profile_overlays.c.profile_id))
    return [profile_of(row, row["profile_id"]) for row in rows.mappings()]


def catalog_for(
    tx: Connection, task: Task, *, defaults: Mapping[str, EffectiveProfile], ceiling: Ceiling
) -> Catalog:
    """Everything that resolving this task's profile needs, in this one transaction."""
    default = tx.execute(
        select(projects.c.default_profile_id).where(projects.c.id == task.project_id)
    ).scalar()
    wanted = [profile_id for profile_id in (task.profile_id, default) if profile_id is not None]
    known = servers.list_servers(tx, project_id=task.project_id)
    return Catalog(
        project_id=task.project_id,
        task_profile_id=task.profile_id,
        project_profile_id=default,
        profiles=_profiles(tx, task.project_id, wanted),
        overlays=_overlays(tx, task.project_id, wanted),
        system_servers={server.name: server for server in known if server.project_id is None},
        project_servers={server.name: server for server in known if server.project_id is not None},
        defaults=defaults,
        ceiling=ceiling,
    )


def _profiles(tx: Connection, project_id: str, wanted: list[str]) -> dict[str, ProfileEntry]:
    bound = (bindings.c.profile_id == agent_profiles.c.id) & (bindings.c.project_id == project_id)
    query = (
        select(
            agent_profiles,
            bindings.c.profile_id.label("binding"),
            bindings.c.archived_at.label("binding_archived_at"),
        )
        .outerjoin(bindings, bound)
        .where(agent_profiles.c.id.in_(wanted))
    )
    found = tx.execute(query).mappings().all()
    errors = _errors(tx, "", wanted)
    return {row["id"]: _entry(row, row["id"], errors, standing(row)) for row in found} | {
        profile_id: ProfileEntry(profile=None, valid=False, error=error)
        for profile_id, error in errors.items()
        if profile_id not in {row["id"] for row in found}
    }


def _overlays(tx: Connection, project_id: str, wanted: list[str]) -> dict[str, ProfileEntry]:
    here = (profile_overlays.c.project_id == project_id) & profile_overlays.c.profile_id.in_(wanted)
    found = tx.execute(select(profile_overlays).where(here)).mappings().all()
    errors = _errors(tx, project_id, wanted)
    ids = {row["profile_id"] for row in found}
    return {row["profile_id"]: _entry(row, row["profile_id"], errors) for row in found} | {
        profile_id: ProfileEntry(profile=None, valid=False, error=error)
        for profile_id, error in errors.items()
        if profile_id not in ids
    }


def standing(row: RowMapping) -> Standing:
    """What those who govern profiles say. One that somebody owns must be adopted by the project; one of the
    vault that nobody owns may be used by all, until a project gives it up."""
    if row["disabled_at"] is not None:
        return Standing.DISABLED
    if row["archived_at"] is not None:
        return Standing.ARCHIVED
    if row["requested_by"] is not None and row["approved_at"] is None:
        return Standing.PENDING
    adopted = row["binding"] is not None and row["binding_archived_at"] is None
    given_up = row["binding"] is not None and row["binding_archived_at"] is not None
    if given_up or (row["owner"] is not None and not adopted):
        return Standing.UNBOUND
    return Standing.USABLE


def _entry(
    row: RowMapping, profile_id: str, errors: Mapping[str, str], allowed: Standing = Standing.USABLE
) -> ProfileEntry:
    return ProfileEntry(
        profile=profile_of(row, profile_id),
        present=row["removed_at"] is None,
        valid=profile_id not in errors,
        standing=allowed,
        error=errors.get(profile_id),
    )


def _errors(tx: Connection, project_id: str, wanted: list[str]) -> dict[str, str]:
    query = select(sync_state.c.document_id, sync_state.c.error).where(
        sync_state.c.kind == "profile",
        sync_state.c.document_id.in_(wanted),
        sync_state.c.project_id == project_id,
        sync_state.c.error.is_not(None),
    )
    return {row.document_id: row.error for row in tx.execute(query)}


def _overlay(project_id: str, profile_id: str) -> tuple[Any, ...]:
    return profile_overlays.c.project_id == project_id, profile_overlays.c.profile_id == profile_id
