"""Indexes: what runs often is found by its place, however long the backlog and whatever was analysed."""

import pytest
from sqlalchemy import Connection, text

from orchestrator.store.conditions import (
    ASKED,
    CLAIMABLE,
    CLAIMED,
    DEMANDING,
    HELD,
    OF_SCHEDULE,
    UNMEASURED,
    WAITING,
)
from orchestrator.store.database import Database

TAKEN = "ORDER BY project_id, priority, created_at, id LIMIT 5"
SAME = "AND requires = 'x' AND project_id = 'p1'"
LISTED = "ORDER BY created_at DESC, id DESC LIMIT 50"

QUERIES = {
    "tasks_claimable": f"SELECT id FROM tasks WHERE project_id = 'p1' AND {CLAIMABLE} {TAKEN}",
    "tasks_demanding": f"SELECT id FROM tasks WHERE {DEMANDING} {SAME} {TAKEN}",
    "tasks_claimed": f"SELECT count(*) FROM tasks WHERE {CLAIMED} AND lease_until < 5",
    "tasks_waiting": f"SELECT id FROM tasks WHERE {WAITING} AND run_at <= 5 ORDER BY run_at LIMIT 5",
    "tasks_held": f"SELECT min(hold_until) FROM tasks WHERE {HELD}",
    "tasks_of_schedules": f"SELECT id FROM tasks WHERE {OF_SCHEDULE} AND schedule_id = 's' "
    "ORDER BY created_at LIMIT 1",
    "tasks_scheduled": "SELECT id FROM tasks WHERE schedule_id = 's' AND scheduled_for = 5",
    "tasks_unanswered": f"SELECT id FROM tasks WHERE {ASKED} AND answer_by <= 5",
    "tasks_by_project": f"SELECT id FROM tasks WHERE project_id = 'p0' {LISTED}",
    "tasks_by_state": f"SELECT id FROM tasks WHERE state = 'FAILED' {LISTED}",
    "tasks_by_age": f"SELECT id FROM tasks WHERE (created_at, id) < (5, 't') {LISTED}",
    "task_dependencies_by_need": "SELECT task_id FROM task_dependencies WHERE depends_on = 't1'",
    "attempts_ended": "SELECT sum(cost_usd) FROM attempts WHERE ended_at IS NOT NULL AND ended_at > 99999",
    "attempts_unmeasured": f"SELECT task_id FROM attempts WHERE {UNMEASURED} ORDER BY ended_at DESC LIMIT 5",
    "attempts_open": "SELECT project_id, count(*) FROM attempts WHERE ended_at IS NULL GROUP BY project_id",
    "events_by_task": "SELECT id FROM events WHERE task_id = 't1' AND id > 5 ORDER BY id LIMIT 5",
}

FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
INSERT INTO tasks (id, project_id, title, prompt, state, created_at, updated_at, priority)
SELECT 't' || i, CASE WHEN i % 50 = 0 THEN 'p0' ELSE 'p1' END, '', '',
    CASE WHEN i % 100 = 0 THEN 'FAILED' ELSE 'READY' END, i, i, i % 7 FROM n
"""


def fill(tx: Connection) -> None:
    projects = "INSERT INTO projects (id, name, created_at, updated_at) "
    tx.execute(text(projects + "VALUES ('p0', 'P', 1, 1), ('p1', 'P', 1, 1)"))
    tx.execute(text(FILL))


def plan(tx: Connection, query: str) -> str:
    if tx.dialect.name == "postgresql":
        # What the planner can do, and not what it prefers for a table as small as this one.
        for way in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
            tx.execute(text(f"SET LOCAL {way} = off"))
        return "\n".join(tx.execute(text(f"EXPLAIN {query}")).scalars())
    return "\n".join(row[3] for row in tx.execute(text(f"EXPLAIN QUERY PLAN {query}")))


@pytest.mark.parametrize(
    ("index", "which"),
    [("tasks_claimable", CLAIMABLE), ("tasks_demanding", f"{DEMANDING} AND requires = 'x'")],
)
def test_a_look_further_into_a_project_begins_at_its_place(
    database: Database, index: str, which: str
) -> None:
    database.run_sync(fill)
    behind = "project_id = 'p1' AND (priority, created_at, id) > (3, 5, 't')"
    found = database.read_sync(plan, f"SELECT id FROM tasks WHERE {behind} AND {which} {TAKEN}")
    assert index in found
    row = {"postgresql": "ROW(priority, created_at", "sqlite": "(priority,created_at,id)>"}
    assert row[database.dialect] in found
    assert "TEMP B-TREE" not in found


@pytest.mark.parametrize("analysed", [False, True])
def test_each_query_uses_the_index_made_for_it(database: Database, analysed: bool) -> None:
    database.run_sync(fill)
    if analysed:
        database.run_sync(lambda tx: tx.execute(text("ANALYZE")))
    plans = {name: database.read_sync(plan, query) for name, query in QUERIES.items()}
    assert {name: found for name, found in plans.items() if name not in found} == {}
    assert [name for name, found in plans.items() if "USE TEMP B-TREE FOR ORDER BY" in found] == []
