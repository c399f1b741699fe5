"""What attempts spent: of a task, of a project in a day, of all."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from orchestrator.domain.budget import Spent

TOKENS: Final = "input_tokens + output_tokens + cache_creation_tokens"
"""What counts of an attempt's tokens."""

_SUMS: Final = f"SELECT coalesce(sum(cost_usd), 0), coalesce(sum({TOKENS}), 0) FROM attempts"  # noqa: S608 - constants
REAL: Final = "NOT rehearsal"
"""A rehearsal's figures are notional: it spends nothing."""
_OF_TASK: Final = text(f"{_SUMS} WHERE task_id = :task AND {REAL}")
_SINCE: Final = f"{_SUMS} WHERE ended_at IS NOT NULL AND ended_at >= :since AND {REAL}"
_OF_PROJECT: Final = text(f"{_SINCE} AND project_id = :project")
_OF_ALL: Final = text(_SINCE)
_LATELY: Final = text(
    f"SELECT project_id, ended_at < :cut, sum(cost_usd), sum({TOKENS}) FROM attempts "  # noqa: S608 - constants
    f"WHERE ended_at IS NOT NULL AND ended_at >= :since AND {REAL} GROUP BY 1, 2"
)


def of_task(tx: Connection, task_id: str) -> Spent:
    """By all attempts at the task."""
    return _spent(tx.execute(_OF_TASK, {"task": task_id}).one())


def of_project(tx: Connection, project_id: str, *, since: float) -> Spent:
    """By its attempts that have ended since."""
    return _spent(tx.execute(_OF_PROJECT, {"project": project_id, "since": since}).one())


def of_all(tx: Connection, *, since: float) -> Spent:
    return _spent(tx.execute(_OF_ALL, {"since": since}).one())


def lately(tx: Connection, *, since: float, cut: float) -> list[tuple[str, bool, Spent]]:
    """By each project's attempts that have ended since: those that ended before `cut` and the others."""
    rows = tx.execute(_LATELY, {"since": since, "cut": cut})
    return [(row[0], bool(row[1]), _spent(row[2:])) for row in rows]


def _spent(row: Sequence[Any]) -> Spent:
    return Spent(usd=float(row[0]), tokens=int(row[1]))
