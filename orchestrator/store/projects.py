"""Projects: rows in, rows out."""

from dataclasses import fields
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping, func, insert, select
from sqlalchemy.exc import IntegrityError

from orchestrator.domain.errors import AlreadyExists, NotFound
from orchestrator.domain.project import CheckoutKind, Project
from orchestrator.store.outbox import mark_rules_changed
from orchestrator.store.tables import agent_profiles, projects, tasks

_NAMES: Final = tuple(field.name for field in fields(Project))


def create(tx: Connection, project: Project) -> None:
    """Raises AlreadyExists, or NotFound for its default profile."""
    _check_profile(tx, project)
    try:
        tx.execute(insert(projects).values(_values(project)))
    except IntegrityError as error:
        raise AlreadyExists(f"project {project.id} already exists", field="id") from error
    mark_rules_changed(tx)


def get(tx: Connection, project_id: str) -> Project | None:
    row = tx.execute(select(projects).where(projects.c.id == project_id)).mappings().first()
    return None if row is None else _project(row)


def list_projects(tx: Connection) -> list[Project]:
    """All of them, by id."""
    return [_project(row) for row in tx.execute(select(projects).order_by(projects.c.id)).mappings()]


def update(tx: Connection, project: Project) -> None:
    """Write the whole record. Raises NotFound for it or for its default profile."""
    _check_profile(tx, project)
    done = tx.execute(sa.update(projects).where(projects.c.id == project.id).values(_values(project)))
    if done.rowcount != 1:
        raise NotFound(f"project {project.id} not found", field="project_id")
    mark_rules_changed(tx)


def count_tasks(tx: Connection, project_id: str) -> dict[str, int]:
    """How many of its tasks there are in each state; archived ones are not counted."""
    query = select(tasks.c.state, func.count()).group_by(tasks.c.state)
    return {row[0]: row[1] for row in tx.execute(query.where(tasks.c.project_id == project_id))}


def _check_profile(tx: Connection, project: Project) -> None:
    if project.default_profile_id is None:
        return
    known = select(agent_profiles.c.id).where(agent_profiles.c.id == project.default_profile_id)
    if tx.execute(known).first() is None:
        raise NotFound(f"profile {project.default_profile_id} not found", field="default_profile_id")


def _values(project: Project) -> dict[str, Any]:
    return {name: getattr(project, name) for name in _NAMES} | {"checkout": project.checkout.value}


def _project(row: RowMapping) -> Project:
    values = {name: row[name] for name in _NAMES}
    return Project(**values | {"checkout": CheckoutKind(row["checkout"])})
