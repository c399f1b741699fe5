"""A task that comes to an empty queue: seen and claimed in one statement, where nothing has to be weighed."""
# ruff: noqa: S608 - every piece of the statement below is a constant of this package; values are parameters.

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, text

from orchestrator.domain.limit import Place
from orchestrator.domain.task import Claim
from orchestrator.store import queue
from orchestrator.store.conditions import CLAIMABLE, DEMANDING, HELD, WAITING
from orchestrator.store.prepared import Prepared
from orchestrator.store.queue import SKIP_LOCKED, STILL_CLAIMABLE
from orchestrator.store.rowset import parameter, source
from orchestrator.store.task_rows import NAMES, task_read
from orchestrator.store.waiting import indexed_by
from orchestrator.store.wake import Listener

Precedents = Mapping[tuple[str, str | None], Place]
"""By project and the profile that a task names, as what such a task was claimed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a worker asks with."""

    worker: str
    lease_seconds: float
    labelled: bool
    """Whether it may take what others may not."""
    rules: int
    """Version of the rules that the precedents are of."""
    precedents: Precedents
    now: float | None = None
    """Replaces the clock, in Unix seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The queue at one moment."""

    at: float
    """When it was, in Unix seconds."""
    rules: int
    """Version of the rules, as `Looked.rules`."""
    due: float | None
    """When the next of those that wait for a time may go on; `None` when none waits."""
    empty: bool
    """Whether nothing can be claimed that any worker may take, and nothing is due."""
    demanding: bool
    """Whether there is something that only workers with certain labels may take."""
    claim: Claim | None = None


_PRECEDENTS: Final = {"project": "text", "named": "text", "profile": "text", "model": "text", "host": "text"}
_SAME: Final = {"sqlite": "IS", "postgresql": "IS NOT DISTINCT FROM"}
_NOW: Final = {
    "sqlite": "CAST(:now AS float8)",
    "postgresql": "coalesce(CAST(:now AS float8), extract(epoch FROM clock_timestamp())::float8)",
}


def _lone(dialect: str) -> str:
    """`seen` is a row of how the queue is, and `lone` the task that may be claimed and as what, or none.

    All that a turn would have to weigh keeps a task from being claimed so: a second one, something due,
    limits, budgets, labels, a directory, a provider to be left alone, an agent that asked for it. What is
    claimed is what a turn would have claimed.
    """
    claimable, demanding = indexed_by(dialect, "tasks_claimable"), indexed_by(dialect, "tasks_demanding")
    return f"""
WITH first AS MATERIALIZED (
    SELECT id, project_id, profile_id FROM tasks {claimable} WHERE {CLAIMABLE}
    ORDER BY project_id, priority, created_at, id LIMIT 2
), times AS MATERIALIZED (
    SELECT min(run_at) AS at FROM tasks WHERE {WAITING}
    UNION ALL SELECT min(hold_until) FROM tasks WHERE {HELD}
), seen AS MATERIALIZED (
    SELECT
        {_NOW[dialect]} AS now,
        coalesce((SELECT version FROM rules), 0) AS rules,
        (SELECT min(at) FROM times) AS due,
        (SELECT count(*) FROM first) AS waiting,
        EXISTS (SELECT 1 FROM tasks {demanding} WHERE {DEMANDING}) AS demanding
), lone AS MATERIALIZED (
    SELECT t.id, r.profile, r.model, r.host, now
    FROM seen CROSS JOIN first
    JOIN {source(dialect, _PRECEDENTS)}
        ON r.project = first.project_id AND r.named {_SAME[dialect]} first.profile_id
    JOIN projects p ON p.id = first.project_id
    JOIN tasks t ON t.id = first.id
    WHERE waiting = 1 AND NOT (demanding AND CAST(:labelled AS boolean)) AND (due IS NULL OR due > now)
        AND rules = CAST(:rules AS bigint)
        AND {STILL_CLAIMABLE} AND t.parent_attempt IS NULL
        AND NOT p.paused AND p.requires IS NULL AND p.checkout <> 'directory' AND p.max_concurrent IS NULL
        AND p.budget_usd_per_day IS NULL AND p.budget_tokens_per_day IS NULL
        AND NOT EXISTS (SELECT 1 FROM limits)
        AND NOT EXISTS (SELECT 1 FROM backoffs WHERE until > now)
    {SKIP_LOCKED[dialect].replace("UPDATE", "UPDATE OF t")}
)"""


_SEEN: Final = "seen.now, rules, due, waiting = 0 AND (due IS NULL OR due > seen.now), demanding"
_ASSIGNED: Final = ", ".join(
    (
        "state = 'ASSIGNED'",
        "attempt = tasks.attempt + 1",
        "claimed_by = :worker",
        "lease_until = now + CAST(:lease_seconds AS float8)",
        "updated_at = now",
    )
)
_ASK: Final = Prepared(
    {
        "sqlite": text(
            f"{_lone('sqlite')} SELECT {_SEEN}, id, profile, model, host FROM seen LEFT JOIN lone ON true"
        ),
        # The claim is made at once, and the task's row looked at again now that it is locked.
        "postgresql": text(f"""{_lone("postgresql")}, taken AS (
    UPDATE tasks SET {_ASSIGNED} FROM lone WHERE tasks.id = lone.id AND {STILL_CLAIMABLE}
    RETURNING {", ".join(f"tasks.{name}" for name in NAMES)}, lone.profile, lone.model, lone.host
), opened AS (
    INSERT INTO attempts (task_id, number, project_id, worker, started_at, host, claimed_profile, model)
    SELECT id, attempt, project_id, claimed_by, updated_at, host, profile, model FROM taken
)
SELECT {_SEEN}, {", ".join(f"taken.{name}" for name in NAMES)}
FROM seen LEFT JOIN taken ON true
"""),
    }
)


def claim_here(tx: Connection, question: Question) -> Found:
    """`claim_lone` as part of a transaction, where the database is in this process and a question no cheaper
    than any other call."""
    now = time.time() if question.now is None else question.now
    (row,) = _ASK.rows(tx, {**_given(question), "now": now})
    found = _found(row)
    task_id, profile, model, host = row[5:]
    if task_id is None:
        return found
    (claim,) = queue.claim(
        tx,
        [task_id],
        worker=question.worker,
        now=now,
        lease_seconds=question.lease_seconds,
        places={task_id: Place(host=host, profile_id=profile, model=model)},
    )
    return replace(found, claim=claim)


async def claim_lone(listener: Listener, question: Question) -> Found | None:
    """How the queue is, and the claim of the only task in it, if one like it was claimed under these very
    rules and nothing else is to be weighed. `None` where the listener cannot ask; a claim that was made all
    the same runs out, as that of a worker that died."""
    rows = await listener.ask(_ASK, _given(question))
    if not rows:
        return None
    found, row = _found(rows[0]), rows[0][5:]
    if row[0] is None:
        return found
    task, until = task_read(row), found.at + question.lease_seconds
    claim = Claim(task=task, worker=question.worker, attempt=task.attempt, lease_until=until)
    return replace(found, claim=claim)


def _given(question: Question) -> dict[str, Any]:
    places = (
        {"project": project, "named": named, "profile": one.profile_id, "model": one.model, "host": one.host}
        for (project, named), one in question.precedents.items()
    )
    return {
        "worker": question.worker,
        "lease_seconds": question.lease_seconds,
        "labelled": question.labelled,
        "rules": question.rules,
        "rows": parameter(places),
        "now": question.now,
    }


def _found(row: tuple[Any, ...]) -> Found:
    at, rules, due, empty, demanding = row[:5]
    return Found(at=at, rules=rules, due=due, empty=bool(empty), demanding=bool(demanding))
