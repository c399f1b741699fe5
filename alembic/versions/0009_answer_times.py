"""Until when an answer is waited for.

Revision ID: 0009
Revises: 0008
"""

from typing import Final

from alembic import op

revision = "0009"
down_revision = "0008"

REAL: Final = {"sqlite": "REAL", "postgresql": "DOUBLE PRECISION"}


def upgrade() -> None:
    for table in ("tasks", "archived_tasks"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN answer_by {REAL[op.get_bind().dialect.name]}")
    op.execute("CREATE INDEX tasks_unanswered ON tasks (answer_by) WHERE answer_by IS NOT NULL")
