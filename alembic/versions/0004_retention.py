"""What retention goes by: how much the messages of an attempt take, and the age of what is archived.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for statement in (
        "ALTER TABLE attempts ADD COLUMN message_bytes BIGINT",
        "CREATE INDEX attempts_with_messages ON attempts (ended_at, task_id, number, message_bytes) "
        "WHERE message_bytes > 0",
        "CREATE INDEX archived_tasks_by_age ON archived_tasks (created_at, id)",
    ):
        op.execute(statement)
