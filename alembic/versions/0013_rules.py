"""A number that grows with every change of what decides whether a task may start.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.execute("CREATE TABLE rules (id INTEGER NOT NULL, version BIGINT NOT NULL, PRIMARY KEY (id))")
