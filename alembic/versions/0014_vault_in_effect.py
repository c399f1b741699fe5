"""The commit that the vault's remote had when it was last read, so that no clone behind it is read.

Revision ID: 0014
Revises: 0013
"""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.execute(
        "CREATE TABLE vault_in_effect (id INTEGER NOT NULL, commit_id TEXT NOT NULL, PRIMARY KEY (id))"
    )
