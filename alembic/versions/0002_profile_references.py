"""Tasks and projects name a profile.

Revision ID: 0002
Revises: 0001
"""

from typing import Final

from alembic import op

revision = "0002"
down_revision = "0001"

KEYS: Final = {"sqlite": "TEXT", "postgresql": 'TEXT COLLATE "C"'}


def upgrade() -> None:
    key = KEYS[op.get_bind().dialect.name]
    for statement in (
        f"ALTER TABLE tasks ADD COLUMN profile_id {key} REFERENCES agent_profiles(id)",
        f"ALTER TABLE projects ADD COLUMN default_profile_id {key} REFERENCES agent_profiles(id)",
        "ALTER TABLE archived_tasks ADD COLUMN profile_id TEXT",
        "CREATE INDEX tasks_by_profile ON tasks (profile_id) WHERE profile_id IS NOT NULL",
        "CREATE INDEX projects_by_profile ON projects (default_profile_id)",
    ):
        op.execute(statement)
