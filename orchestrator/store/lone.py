"""A task that comes to an empty queue: seen and claimed in one statement, where nothing has to be weighed."""
# ruff: noqa: S608 - every piece of the statement below is a constant of this package; values are parameters.

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import text

from orchestrator.domain.limit import Place
from orchestrator.domain.task import Claim
from orchestrator.store.conditions import CLAIMABLE, DEMANDING, HELD, WAITING
from orchestrator.store.prepared import Prepared
from orchestrator.store.queue import STILL_CLAIMABLE
from orchestrator.store.rowset import parameter, source
from orchestrator.store.task_rows import NAMES, task_read
from orchestrator.store.wake import Listener

Precedents = Mapping[tuple[str, str | None], Place]
"""By project and the profile that a task names, as what such a task was claimed."""


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
_ASSIGNED: Final = ", ".join(
    (
        "state = 'ASSIGNED'",
        "attempt = tasks.attempt + 1",
        "claimed_by = :worker",
        "lease_until = now + CAST(:lease_seconds AS float8)",
        "updated_at = now",
    )
)
# All that a turn would have to weigh keeps the task from being claimed here: a second one, something due,
# limits, budgets, labels, a directory, a provider to be left alone, an agent that asked for it. So what is
# claimed is what a turn would have claimed. The task's row is looked at again once it is locked.
_CLAIM: Final = Prepared(
    {
        "postgresql": text(f"""
WITH first AS MATERIALIZED (
    SELECT id, project_id, profile_id FROM tasks WHERE {CLAIMABLE}
    ORDER BY project_id, priority, created_at, id LIMIT 2
), seen AS MATERIALIZED (
    SELECT
        coalesce(CAST(:now AS float8), extract(epoch FROM clock_timestamp())::float8) AS now,
        coalesce((SELECT version FROM rules), 0) AS rules,
        least((SELECT min(run_at) FROM tasks WHERE {WAITING}),
            (SELECT min(hold_until) FROM tasks WHERE {HELD})) AS due,
        (SELECT count(*) FROM first) AS waiting,
        EXISTS (SELECT FROM tasks WHERE {DEMANDING}) AS demanding
), lone AS MATERIALIZED (
    SELECT t.id, r.profile, r.model, r.host, now
    FROM seen CROSS JOIN first
    JOIN {source("postgresql", _PRECEDENTS)}
        ON r.project = first.project_id AND r.named IS NOT DISTINCT FROM first.profile_id
    JOIN projects p ON p.id = first.project_id
    JOIN tasks t ON t.id = first.id
    WHERE waiting = 1 AND NOT (demanding AND CAST(:labelled AS boolean)) AND (due IS NULL OR due > now)
        AND rules = CAST(:rules AS bigint)
        AND {STILL_CLAIMABLE} AND t.parent_attempt IS NULL
        AND NOT p.paused AND p.requires IS NULL AND p.checkout <> 'directory' AND p.max_concurrent IS NULL
        AND p.budget_usd_per_day IS NULL AND p.budget_tokens_per_day IS NULL
        AND NOT EXISTS (SELECT FROM limits)
        AND NOT EXISTS (SELECT FROM backoffs WHERE until > now)
    FOR UPDATE OF t SKIP LOCKED
), taken AS (
    UPDATE tasks SET {_ASSIGNED} FROM lone WHERE tasks.id = lone.id AND {STILL_CLAIMABLE}
    RETURNING {", ".join(f"tasks.{name}" for name in NAMES)}, lone.profile, lone.model, lone.host
), opened AS (
    INSERT INTO attempts (task_id, number, project_id, worker, started_at, host, claimed_profile, model)
    SELECT id, attempt, project_id, claimed_by, updated_at, host, profile, model FROM taken
)
SELECT now, rules, due, waiting = 0 AND (due IS NULL OR due > now), demanding,
    {", ".join(f"taken.{name}" for name in NAMES)}
FROM seen LEFT JOIN taken ON true
""")
    }
)


async def claim_lone(
    listener: Listener,
    *,
    worker: str,
    lease_seconds: float,
    labelled: bool,
    rules: int,
    precedents: Precedents,
    now: float | None = None,
) -> Found | None:
    """How the queue is, and the claim of the only task in it, if one like it was claimed under these very
    `rules` and nothing else is to be weighed. `labelled` is a worker that may take what others may not. `now`
    replaces the database's clock. `None` where the listener cannot ask; a claim that was made all the same
    runs out, as that of a worker that died."""
    places = (
        {"project": project, "named": named, "profile": one.profile_id, "model": one.model, "host": one.host}
        for (project, named), one in precedents.items()
    )
    values = {
        "worker": worker,
        "lease_seconds": lease_seconds,
        "labelled": labelled,
        "rules": rules,
        "rows": parameter(places),
        "now": now,
    }
    rows = await listener.ask(_CLAIM, values)
    if not rows:
        return None
    at, version, due, empty, demanding, *row = rows[0]
    found = Found(at=at, rules=version, due=due, empty=empty, demanding=demanding)
    if row[0] is None:
        return found
    task = task_read(tuple(row))
    claim = Claim(task=task, worker=worker, attempt=task.attempt, lease_until=at + lease_seconds)
    return replace(found, claim=claim)
