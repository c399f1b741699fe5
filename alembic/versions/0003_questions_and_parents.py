"""Agents ask people, and ask for tasks of their own.

Revision ID: 0003
Revises: 0002
"""

from typing import Final

from alembic import op

revision = "0003"
down_revision = "0002"

TYPES: Final = {
    "sqlite": ("TEXT", "REAL"),
    "postgresql": ('TEXT COLLATE "C"', "DOUBLE PRECISION"),
}


def upgrade() -> None:
    key, real = TYPES[op.get_bind().dialect.name]
    for statement in (
        f"ALTER TABLE tasks ADD COLUMN parent_id {key}",
        f"ALTER TABLE archived_tasks ADD COLUMN parent_id {key}",
        "CREATE INDEX tasks_by_parent ON tasks (parent_id, created_at, id) WHERE parent_id IS NOT NULL",
        "CREATE INDEX tokens_of_attempts ON tokens (task_id, attempt) "
        "WHERE revoked_at IS NULL AND task_id IS NOT NULL",
        f"""CREATE TABLE questions (
            task_id {key} NOT NULL,
            attempt INTEGER NOT NULL,
            question TEXT NOT NULL,
            asked_at {real} NOT NULL,
            answer TEXT,
            answered_at {real},
            answered_by TEXT,
            PRIMARY KEY (task_id, attempt),
            FOREIGN KEY (task_id, attempt) REFERENCES attempts (task_id, number) ON DELETE CASCADE
        )""",
    ):
        op.execute(statement)
