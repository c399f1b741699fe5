"""The attempt that asked for a task: what it was granted bounds the task.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    for table in ("tasks", "archived_tasks"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN parent_attempt INTEGER")
