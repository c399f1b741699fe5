"""What a worker's host lacks, so that others know which tasks it leaves to them.

Revision ID: 0015
Revises: 0014
"""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.execute("ALTER TABLE workers ADD COLUMN lacks TEXT NOT NULL DEFAULT '{}'")
