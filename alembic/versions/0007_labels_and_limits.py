"""Labels of workers and who requires them, limits over all hosts, and providers to be left alone.

Revision ID: 0007
Revises: 0006
"""

from typing import Final

from alembic import op

revision = "0007"
down_revision = "0006"

TYPES: Final = {
    "sqlite": ("TEXT", "REAL", "0"),
    "postgresql": ('TEXT COLLATE "C"', "DOUBLE PRECISION", "false"),
}
READY: Final = "state = 'READY' AND hold IS NULL AND run_at IS NULL"


def upgrade() -> None:
    key, real, false = TYPES[op.get_bind().dialect.name]
    for statement in (
        *(
            f"ALTER TABLE {table} ADD COLUMN {column}"
            for table in ("tasks", "archived_tasks")
            for column in ("requires TEXT", "max_tokens BIGINT")
        ),
        "ALTER TABLE projects ADD COLUMN requires TEXT",
        "ALTER TABLE projects ADD COLUMN budget_tokens_per_day BIGINT",
        "ALTER TABLE workers ADD COLUMN labels TEXT NOT NULL DEFAULT '[]'",
        f"ALTER TABLE workers ADD COLUMN drain_asked BOOLEAN NOT NULL DEFAULT {false}",
        "ALTER TABLE attempts ADD COLUMN host TEXT",
        "ALTER TABLE attempts ADD COLUMN claimed_profile TEXT",
        "ALTER TABLE attempts ADD COLUMN model TEXT",
        # What needs a label lies in an index of its own: workers without it never pass over it.
        "DROP INDEX tasks_claimable",
        "CREATE INDEX tasks_claimable ON tasks (project_id, priority, created_at, id) "
        f"WHERE {READY} AND requires IS NULL",
        "CREATE INDEX tasks_demanding ON tasks (requires, project_id, priority, created_at, id) "
        f"WHERE {READY} AND requires IS NOT NULL",
        f"""CREATE TABLE limits (
            scope {key} NOT NULL,
            name {key} NOT NULL,
            max_concurrent INTEGER,
            budget_usd_per_day {real},
            budget_tokens_per_day BIGINT,
            updated_at {real} NOT NULL,
            PRIMARY KEY (scope, name)
        )""",
        f"""CREATE TABLE backoffs (
            provider {key} NOT NULL PRIMARY KEY,
            reason TEXT NOT NULL,
            message TEXT NOT NULL,
            until {real} NOT NULL
        )""",
    ):
        op.execute(statement)
