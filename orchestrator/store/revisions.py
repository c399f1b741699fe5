"""Revisions of profiles: every content that was ever accepted, when, and who or which commit brought it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select, update

from orchestrator.store.servers import SYSTEM
from orchestrator.store.tables import profile_revisions

_COLUMNS = profile_revisions.c


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """`digest` is the document's; `commit` the one that brought it, `None` while it is in none; `author` is
    that commit's, or whoever called the command that wrote it. `accepted_at` is Unix seconds."""

    id: int
    profile_id: str
    project_id: str | None
    digest: str
    accepted_at: float
    commit: str | None = None
    author: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What is found out later about a revision."""

    id: int
    commit: str
    author: str


def history(tx: Connection, profile_id: str, *, project_id: str | None = None, limit: int) -> list[Revision]:
    """The last ones of a profile, newest first."""
    query = _all().where(_COLUMNS.profile_id == profile_id, _COLUMNS.project_id == (project_id or SYSTEM))
    return _read(tx, query.order_by(_COLUMNS.id.desc()).limit(limit))


def without_commit(tx: Connection, *, after: int, limit: int) -> list[Revision]:
    """Those that no commit is known for, oldest first, from an id on."""
    query = _all().where(_COLUMNS.commit_id.is_(None), _COLUMNS.id > after)
    return _read(tx, query.order_by(_COLUMNS.id).limit(limit))


def record_commits(tx: Connection, origins: Iterable[Origin]) -> None:
    """Who called a command stays the author, though the commit is the sync's."""
    rows = [{"of": origin.id, "in": origin.commit, "by": origin.author} for origin in origins]
    if rows:
        changed = update(profile_revisions).where(_COLUMNS.id == bindparam("of"))
        author = func.coalesce(_COLUMNS.author, bindparam("by"))
        tx.execute(changed.values(commit_id=bindparam("in"), author=author), rows)


def record_author(
    tx: Connection, profile_id: str, *, project_id: str | None, digest: str, author: str
) -> None:
    """Say who wrote the revision that is the newest, if it has this content and nobody is known for it."""
    newest = select(func.max(_COLUMNS.id)).where(
        _COLUMNS.profile_id == profile_id, _COLUMNS.project_id == (project_id or SYSTEM)
    )
    changed = update(profile_revisions).where(
        _COLUMNS.id == newest.scalar_subquery(), _COLUMNS.digest == digest, _COLUMNS.author.is_(None)
    )
    tx.execute(changed.values(author=author))


def _all() -> Select[Any]:
    return select(
        _COLUMNS.id,
        _COLUMNS.profile_id,
        _COLUMNS.project_id,
        _COLUMNS.digest,
        _COLUMNS.created_at,
        _COLUMNS.commit_id,
        _COLUMNS.author,
    )


def _read(tx: Connection, query: Select[Any]) -> list[Revision]:
    return [
        Revision(
            id=row.id,
            profile_id=row.profile_id,
            project_id=row.project_id or None,
            digest=row.digest,
            accepted_at=row.created_at,
            commit=row.commit_id,
            author=row.author,
        )
        for row in tx.execute(query)
    ]
