"""Waiting tasks further back in a project, behind those that have to wait for room."""
# ruff: noqa: S608 - every piece of the statements below is a constant of this package; values are parameters.

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, text

from orchestrator.domain.candidate import Candidate
from orchestrator.store.conditions import CLAIMABLE, DEMANDING
from orchestrator.store.queue import AMONG, SKIP_LOCKED, among
from orchestrator.store.waiting import candidate, indexed_by

FAR: Final = 1000
"""Tasks read at one look: a few milliseconds, however long the backlog is."""


Line = tuple[str, str | None]
"""A project, and the labels that some of its tasks require, as they are stored: those wait in a line of their
own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """A place in a line, in the order they are taken: just behind this one."""

    priority: int
    created_at: float
    id: str


FIRST: Final = Position(priority=-(2**31), created_at=0.0, id="")

_AHEAD: Final = """
SELECT id, profile_id, priority, created_at FROM tasks {hint}
WHERE project_id = :project AND {where} AND (priority, created_at, id) > (:priority, :created_at, :id)
ORDER BY project_id, priority, created_at, id LIMIT {far}
"""
_WHERE: Final = {
    "tasks_claimable": CLAIMABLE,
    "tasks_demanding": f"{DEMANDING} AND requires = :requires",
}


def _ahead(dialect: str, index: str) -> str:
    return _AHEAD.format(hint=indexed_by(dialect, index), where=_WHERE[index], far=FAR)


# Only what is answered with is locked, so that others may have what lies between.
_FOUND: Final = {
    (dialect, index): text(
        f"SELECT id, project_id, profile_id, priority, created_at, parent_attempt FROM tasks WHERE id IN ("
        f"SELECT id FROM ({_ahead(dialect, index)}) AS ahead "
        f"WHERE NOT coalesce(profile_id, '') {among_ids} ORDER BY priority, created_at, id LIMIT :most) "
        f"{SKIP_LOCKED[dialect]}"
    )
    for dialect, among_ids in AMONG.items()
    for index in _WHERE
}
_LAST: Final = {
    (dialect, index): text(
        f"SELECT priority, created_at, id FROM ({_ahead(dialect, index)}) AS ahead "
        f"ORDER BY priority, created_at, id LIMIT 1 OFFSET {FAR - 1}"
    )
    for dialect in AMONG
    for index in _WHERE
}


def beyond(
    tx: Connection, line: Line, after: Position, *, passing: Iterable[str | None], most: int
) -> tuple[list[Candidate], Position | None]:
    """The first `most` of the next `FAR` tasks of the line, passing over those that name one of these
    profiles, `None` for no name; and where to look next when none was found, `None` at its end."""
    project, requires = line
    which = tx.dialect.name, "tasks_claimable" if requires is None else "tasks_demanding"
    values: dict[str, Any] = {"project": project, **asdict(after)}
    if requires is not None:
        values["requires"] = requires
    ids = among(tx, [name or "" for name in passing])
    rows = tx.execute(_FOUND[which], {**values, "ids": ids, "most": most})
    found = [candidate(row, requires=requires) for row in rows]
    if found:
        return found, after
    last = tx.execute(_LAST[which], values).first()
    return [], None if last is None else Position(priority=last[0], created_at=last[1], id=last[2])
