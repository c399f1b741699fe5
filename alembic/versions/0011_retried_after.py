"""The attempt after which a person asked for another try: what was lost up to it is forgiven.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute("ALTER TABLE tasks ADD COLUMN retried_after INTEGER")
