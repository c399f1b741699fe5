"""Attempts whose messages retention has not measured yet, found by their place.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute(
        "CREATE INDEX attempts_unmeasured ON attempts (ended_at) "
        "WHERE ended_at IS NOT NULL AND message_bytes IS NULL"
    )
