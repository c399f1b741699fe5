"""Since when the present turn of a worker's loop goes on.

Revision ID: 0010
Revises: 0009
"""

from typing import Final

from alembic import op

revision = "0010"
down_revision = "0009"

REAL: Final = {"sqlite": "REAL", "postgresql": "DOUBLE PRECISION"}


def upgrade() -> None:
    op.execute(f"ALTER TABLE workers ADD COLUMN turning_since {REAL[op.get_bind().dialect.name]}")
