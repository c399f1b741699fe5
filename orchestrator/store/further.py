"""Waiting tasks further back in a project, behind those that have to wait for room."""
# ruff: noqa: S608 - every piece of the statements below is a constant of this package; values are parameters.

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import Connection, text

from orchestrator.domain.candidate import Candidate
from orchestrator.store.conditions import CLAIMABLE
from orchestrator.store.queue import AMONG, among
from orchestrator.store.waiting import candidate

FAR: Final = 1000
"""Tasks read at one look: a few milliseconds, however long the backlog is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """A place among a project's tasks, in the order they are taken: just behind this one."""

    priority: int
    created_at: float
    id: str


FIRST: Final = Position(priority=-(2**31), created_at=0.0, id="")

_AHEAD: Final = f"""
SELECT id, profile_id, priority, created_at FROM tasks {{hint}}
WHERE project_id = :project AND {CLAIMABLE} AND (priority, created_at, id) > (:priority, :created_at, :id)
ORDER BY project_id, priority, created_at, id LIMIT {FAR}
"""
_HINT: Final = {"sqlite": "INDEXED BY tasks_claimable", "postgresql": ""}
# Only what is answered with is locked, so that others may have what lies between.
_LOCK: Final = {"sqlite": "", "postgresql": "FOR UPDATE SKIP LOCKED"}
_FOUND: Final = {
    dialect: text(
        f"SELECT id, project_id, profile_id, priority, created_at, parent_attempt FROM tasks WHERE id IN ("
        f"SELECT id FROM ({_AHEAD.format(hint=_HINT[dialect])}) AS ahead "
        f"WHERE NOT coalesce(profile_id, '') {among_ids} ORDER BY priority, created_at, id LIMIT :most) "
        f"{_LOCK[dialect]}"
    )
    for dialect, among_ids in AMONG.items()
}
_LAST: Final = {
    dialect: text(
        f"SELECT priority, created_at, id FROM ({_AHEAD.format(hint=hint)}) AS ahead "
        f"ORDER BY priority, created_at, id LIMIT 1 OFFSET {FAR - 1}"
    )
    for dialect, hint in _HINT.items()
}


def beyond(
    tx: Connection, project: str, after: Position, *, passing: Iterable[str | None], most: int
) -> tuple[list[Candidate], Position | None]:
    """The first `most` of the next `FAR` tasks of the project that anybody may take, passing over those that
    name one of these profiles, `None` for no name; and where to look next when none was found, `None` at the
    end of the backlog."""
    dialect = tx.dialect.name
    ids = among(tx, [name or "" for name in passing])
    values = {"project": project, **asdict(after)}
    rows = tx.execute(_FOUND[dialect], {**values, "ids": ids, "most": most})
    found = [candidate(row) for row in rows]
    if found:
        return found, after
    last = tx.execute(_LAST[dialect], values).first()
    return [], None if last is None else Position(priority=last[0], created_at=last[1], id=last[2])
