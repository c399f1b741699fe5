"""What each project has running, had lately and may have: the numbers that fairness is decided from."""
# ruff: noqa: S608 - every piece of the statements below is a constant of this package; values are parameters.

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, text

from orchestrator.domain.project import CheckoutKind
from orchestrator.store.columns import names
from orchestrator.store.queue import AMONG, among

DAY: Final = 86400.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a project may have."""

    project_id: str
    weight: float
    max_concurrent: int | None
    budget_usd_per_day: float | None
    checkout: CheckoutKind
    repository: str | None
    requires: tuple[str, ...] = ()
    budget_tokens_per_day: int | None = None

    @property
    def directory(self) -> str | None:
        """The directory that takes one attempt at a time; `None` when each task has its own."""
        return self.repository if self.checkout is CheckoutKind.DIRECTORY else None

    @property
    def exclusive(self) -> bool:
        """Whether one worker at a time decides what starts in it."""
        return self.max_concurrent is not None or self.checkout is CheckoutKind.DIRECTORY

    @property
    def budgeted(self) -> bool:
        """Whether what is spent in a day is counted."""
        return self.budget_usd_per_day is not None or self.budget_tokens_per_day is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A project's open attempts: how many, and the seconds they have taken so far together."""

    count: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Recent:
    """A project's attempts that ended in the window."""

    finished: int = 0
    seconds: float = 0.0


LIMITED: Final = (
    "weight",
    "max_concurrent",
    "budget_usd_per_day",
    "checkout",
    "repository",
    "requires",
    "budget_tokens_per_day",
)
"""Columns of a project; with its id as `project_id`, what `limits_of` reads."""

_LIMITS: Final = {
    dialect: text(f"SELECT id AS project_id, {', '.join(LIMITED)} FROM projects WHERE id {among_ids}")
    for dialect, among_ids in AMONG.items()
}
# Two workers that count at the same time would both find room under a limit; so whoever decides for a
# project with a limit holds its row until the claim is made, and for one that works in a directory the rows
# of all that work in the same. In order of ids: nobody waits in a circle.
_LOCK: Final = text(
    f"SELECT id FROM projects WHERE id {AMONG['postgresql']} "
    "AND (max_concurrent IS NOT NULL OR checkout = 'directory') "
    "OR checkout = 'directory' AND repository = ANY(:directories) ORDER BY id FOR NO KEY UPDATE"
)


def limits(tx: Connection, projects: Iterable[str]) -> dict[str, Limits]:
    """The limits of these projects; those that limit how much runs at once are locked until the transaction
    ends, with whoever shares a directory with them, where the database has more than one writer."""
    ids = among(tx, projects)
    found = _limits(tx, ids)
    if tx.dialect.name == "postgresql" and any(one.exclusive for one in found.values()):
        directories = sorted({one.directory for one in found.values() if one.directory is not None})
        tx.execute(_LOCK, {"ids": ids, "directories": directories})
        found = _limits(tx, ids)  # as they are by now
    return found


def _limits(tx: Connection, ids: Any) -> dict[str, Limits]:
    rows = tx.execute(_LIMITS[tx.dialect.name], {"ids": ids}).mappings()
    return {row["project_id"]: limits_of(row) for row in rows}


def limits_of(row: Mapping[Any, Any]) -> Limits:
    return Limits(
        project_id=row["project_id"],
        weight=row["weight"],
        max_concurrent=row["max_concurrent"],
        budget_usd_per_day=row["budget_usd_per_day"],
        checkout=CheckoutKind(row["checkout"]),
        repository=row["repository"],
        requires=names(row["requires"]),
        budget_tokens_per_day=row["budget_tokens_per_day"],
    )


RUNNING: Final = (
    "SELECT project_id, count(*) AS running, sum(started_at) AS started FROM attempts "
    "WHERE ended_at IS NULL GROUP BY project_id"
)
"""A row for each project that has something at work, for `running_of`."""


def running(tx: Connection, *, now: float) -> dict[str, Running]:
    rows = tx.execute(text(RUNNING)).mappings()
    return {row["project_id"]: running_of(row, now) for row in rows}


def running_of(row: Mapping[Any, Any], now: float) -> Running:
    return Running(count=row["running"], seconds=max(row["running"] * now - row["started"], 0.0))


_BUSY: Final = text(
    "SELECT DISTINCT p.repository FROM attempts a JOIN projects p ON p.id = a.project_id "
    "WHERE a.ended_at IS NULL AND p.checkout = 'directory' AND p.repository IS NOT NULL"
)


def busy_directories(tx: Connection) -> frozenset[str]:
    """Directories of projects in which an attempt is running, on whichever host."""
    return frozenset(row[0] for row in tx.execute(_BUSY))


_FINISHED: Final = text(
    "SELECT project_id, count(*), sum(ended_at - started_at) FROM attempts "
    "WHERE ended_at IS NOT NULL AND ended_at > :since GROUP BY project_id"
)


def recent(tx: Connection, *, now: float, window_seconds: float) -> dict[str, Recent]:
    """What every project had in the window. Reads a row for each attempt in it: not for every turn."""
    finished = {row[0]: (row[1], row[2]) for row in tx.execute(_FINISHED, {"since": now - window_seconds})}
    return {
        project: Recent(finished=count, seconds=seconds) for project, (count, seconds) in finished.items()
    }
