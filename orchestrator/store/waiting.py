"""Who waits: everything a turn decides from in one look, without a step through the backlog."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, text

from orchestrator.domain.candidate import Candidate
from orchestrator.store import load
from orchestrator.store.columns import names
from orchestrator.store.conditions import CLAIMABLE, DEMANDING, HELD, WAITING
from orchestrator.store.load import LIMITED, RUNNING, Limits, Running, limits_of, running_of
from orchestrator.store.prepared import Prepared
from orchestrator.store.queue import SKIP_LOCKED


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """What one look found."""

    at: float
    """When it was, in Unix seconds."""
    due: float | None
    """When the next of those that wait for a time may go on; `None` when none waits."""
    candidates: list[Candidate]
    """The first of every project, as far as the queue itself knows; in no particular order."""
    limits: Mapping[str, Limits]
    """Of the candidates' projects, at least."""
    running: Mapping[str, Running]
    rules: int
    """Grows with every change of what else decides: profiles, servers, projects, limits, providers."""


_OPEN_PROJECTS: Final = """
WITH RECURSIVE open(project_id) AS (
    SELECT min(project_id) FROM tasks {hint} WHERE {where}
    UNION ALL
    SELECT (SELECT min(project_id) FROM tasks {hint} WHERE {where} AND project_id > open.project_id)
    FROM open WHERE open.project_id IS NOT NULL
)
"""
_FIRST: Final = {
    # The next few of each project are found by their place in the index: its other rows are never read,
    # however many there are. SQLite is told which index, since its statistics can talk it out of it.
    "sqlite": """
FROM open JOIN projects p ON p.id = open.project_id AND NOT p.paused
CROSS JOIN tasks t WHERE t.id IN (
    SELECT id FROM tasks {hint} WHERE project_id = open.project_id AND {where}
    ORDER BY project_id, priority, created_at, id LIMIT :most)
""",
    # Rows that another worker is just taking are passed over, not waited for.
    "postgresql": """
FROM open JOIN projects p ON p.id = open.project_id AND NOT p.paused
CROSS JOIN LATERAL (
    SELECT id, project_id, profile_id, priority, created_at, parent_attempt FROM tasks
    WHERE project_id = open.project_id AND {where}
    ORDER BY project_id, priority, created_at, id LIMIT :most {lock}) t
""",
}
_PROJECTS: Final = f"""
FROM open JOIN projects p ON p.id = open.project_id AND NOT p.paused
LEFT JOIN ({RUNNING}) r ON r.project_id = p.id
"""
_DEMANDS: Final = """
FROM (
    WITH RECURSIVE demand(requires) AS (
        SELECT min(requires) FROM tasks {hint} WHERE {where}
        UNION ALL
        SELECT (SELECT min(requires) FROM tasks {hint} WHERE {where} AND requires > demand.requires)
        FROM demand WHERE demand.requires IS NOT NULL
    )
    SELECT requires FROM demand WHERE requires IS NOT NULL
) AS demanded
"""

# Everything comes in one statement, as rows of several kinds: asked for one by one, each would be a round
# trip, and round trips are most of what an idle worker's wake-up takes.
_TASK: Final = ("id", "project_id", "profile_id", "priority", "created_at", "parent_attempt")
_AT_WORK: Final = ("running", "started")
_NAMES: Final = ("kind", *_TASK, *LIMITED, *_AT_WORK)


def _rows(kind: str, **values: str) -> str:
    """A SELECT list of that kind of row: the columns it has, in their order, and NULL for the others."""
    given = {"kind": f"'{kind}'", **values}
    return "SELECT " + ", ".join(given.get(name, "NULL") for name in _NAMES)


def _from(alias: str, columns: Collection[str]) -> dict[str, str]:
    return {name: f"{alias}.{name}" for name in columns}


def indexed_by(dialect: str, index: str) -> str:
    """What names the index to SQLite, which its statistics could talk out of it."""
    return f"INDEXED BY {index}" if dialect == "sqlite" else ""


def _look(dialect: str, lock: str) -> str:
    claimable = {
        "hint": indexed_by(dialect, "tasks_claimable"),
        "where": CLAIMABLE,
        "lock": lock,
    }
    demanding = {"hint": indexed_by(dialect, "tasks_demanding"), "where": DEMANDING}
    project = {**_from("p", LIMITED), **_from("r", _AT_WORK), "project_id": "p.id"}
    kinds = [
        _rows("project", **project) + _PROJECTS,
        _rows("task", **_from("t", _TASK)) + _FIRST[dialect].format(**claimable),
        _rows("demand", requires="requires") + _DEMANDS.format(**demanding),
        _rows("rules", priority="version") + " FROM rules",
        _rows("due", created_at="min(run_at)") + f" FROM tasks WHERE {WAITING}",
        _rows("due", created_at="min(hold_until)") + f" FROM tasks WHERE {HELD}",
    ]
    if dialect == "postgresql":
        kinds.append(_rows("now", created_at="extract(epoch FROM clock_timestamp())::float8"))
    return _OPEN_PROJECTS.format(**claimable) + " UNION ALL ".join(kinds)


def _demanding(dialect: str, lock: str) -> str:
    return (_OPEN_PROJECTS + _rows("task", **_from("t", _TASK)) + _FIRST[dialect]).format(
        hint=indexed_by(dialect, "tasks_demanding"),
        where=f"{DEMANDING} AND requires = :requires",
        lock=lock,
    )


_LOCKS: Final = {True: SKIP_LOCKED, False: dict.fromkeys(SKIP_LOCKED, "")}
"""By whether the tasks found are kept from the others."""
_LOOK: Final = {
    keeping: Prepared({dialect: text(_look(dialect, lock)) for dialect, lock in locks.items()})
    for keeping, locks in _LOCKS.items()
}
_DEMANDING: Final = {
    keeping: Prepared({dialect: text(_demanding(dialect, lock)) for dialect, lock in locks.items()})
    for keeping, locks in _LOCKS.items()
}


def look(
    tx: Connection,
    *,
    most: int,
    labels: Collection[str] = (),
    clock: Callable[[Connection], float] | None = None,
    locking: bool = True,
    keeping: bool = True,
) -> Looked:
    """The first `most` tasks of every project that a worker with these labels may claim now, and what is
    known of their projects. `clock` replaces the database's, which all workers share.

    Until the transaction ends, no other worker takes these tasks, and projects that limit how much runs at
    once are locked, where the database has more than one writer, and seen as they are by then; unless this
    is no more than a glance, and not `locking`. Without `keeping` only the projects are locked: others see
    these tasks too, and the claim says whose they are.
    """
    found: dict[str, list[Any]] = defaultdict(list)
    keeping = keeping and locking
    for row in _LOOK[keeping].rows(tx, {"most": most}):
        found[row[0]].append(row if row[0] == "task" else dict(zip(_NAMES, row, strict=True)))
    candidates = [candidate(row[1:]) for row in found["task"]]
    for row in found["demand"]:
        if set(names(row["requires"])) <= set(labels):
            some = _DEMANDING[keeping].rows(tx, {"most": most, "requires": row["requires"]})
            candidates += [candidate(one[1:], requires=row["requires"]) for one in some]
    now = clock(tx) if clock else next((row["created_at"] for row in found["now"]), time.time())
    limits = {row["project_id"]: limits_of(row) for row in found["project"]}
    running = {row["project_id"]: running_of(row, now) for row in found["project"] if row["running"]}
    projects = {task.project_id for task in candidates}
    exclusive = locking and tx.dialect.name == "postgresql"
    if projects - limits.keys() or (exclusive and any(limits[project].exclusive for project in projects)):
        limits, running = load.limits(tx, projects), load.running(tx, now=now)
    return Looked(
        at=now,
        due=min((row["created_at"] for row in found["due"] if row["created_at"] is not None), default=None),
        candidates=candidates,
        limits=limits,
        running=running,
        rules=next((row["priority"] for row in found["rules"]), 0),
    )


def candidate(row: Sequence[Any], *, requires: str | None = None) -> Candidate:
    """The task whose id, project, profile, priority, age and caller's attempt the row begins with."""
    return Candidate(
        id=row[0],
        project_id=row[1],
        profile_id=row[2],
        priority=row[3],
        created_at=row[4],
        by_agent=row[5] is not None,
        requires=requires,
    )
