"""Schedules say what is missed, may wait for each other, and ask a command.

Revision ID: 0006
Revises: 0005
"""

from typing import Final

from alembic import op

revision = "0006"
down_revision = "0005"

TYPES: Final = {
    "sqlite": ("TEXT", "REAL"),
    "postgresql": ('TEXT COLLATE "C"', "DOUBLE PRECISION"),
}


def upgrade() -> None:
    key, real = TYPES[op.get_bind().dialect.name]
    columns = (
        f"start_at {real}",
        f"end_at {real}",
        f"jitter_seconds {real} NOT NULL DEFAULT 0",
        "missed_limit INTEGER NOT NULL DEFAULT 100",
        f"grace_seconds {real} NOT NULL DEFAULT 60",
        "condition TEXT",
        f"condition_seconds {real} NOT NULL DEFAULT 60",
        "paused_reason TEXT",
        f"next_for {real}",
        f"last_for {real}",
        "last_outcome TEXT",
        f"last_task_id {key}",
        f"checking_by {key}",
        f"checking_until {real}",
    )
    for statement in (
        *(f"ALTER TABLE schedules ADD COLUMN {column}" for column in columns),
        "CREATE INDEX schedules_by_project ON schedules (project_id, id)",
        "CREATE INDEX schedules_by_profile ON schedules (profile_id)",
        "CREATE INDEX tasks_of_schedules ON tasks (schedule_id, created_at) "
        "WHERE schedule_id IS NOT NULL AND finished_at IS NULL",
        f"""CREATE TABLE queued_occurrences (
            schedule_id {key} NOT NULL,
            scheduled_for {real} NOT NULL,
            queued_at {real} NOT NULL,
            PRIMARY KEY (schedule_id, scheduled_for),
            FOREIGN KEY (schedule_id) REFERENCES schedules (id) ON DELETE CASCADE
        )""",
    ):
        op.execute(statement)
