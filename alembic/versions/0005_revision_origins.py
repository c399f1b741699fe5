"""Where a revision of a profile came from: the commit that brought it, and who made it.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for statement in (
        "ALTER TABLE profile_revisions ADD COLUMN commit_id TEXT",
        "ALTER TABLE profile_revisions ADD COLUMN author TEXT",
        "CREATE INDEX profile_revisions_without_commit ON profile_revisions (id) WHERE commit_id IS NULL",
    ):
        op.execute(statement)
