"""The schema's age: what it is, and how it is brought up to date."""

from enum import Enum
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

import orchestrator
from orchestrator.domain.errors import Conflict
from orchestrator.store.tables import metadata

_MIGRATING: Final = 0x6F72636866  # an advisory lock of ours, next to the outbox's


class Age(Enum):
    """How a database's schema compares with this program."""

    EMPTY = "empty"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


def scripts() -> Path:
    """The folder of migrations: inside an installed package, or next to it in a checkout."""
    package = Path(orchestrator.__file__).parent
    installed = package / "_alembic"
    return installed if installed.is_dir() else package.parent / "alembic"


def age(tx: Connection) -> Age:
    return age_of(MigrationContext.configure(tx).get_current_revision())


def age_of(current: str | None) -> Age:
    """The same for the revision that a database says it has."""
    directory = ScriptDirectory.from_config(_config())
    if current is None:
        return Age.EMPTY
    if current == directory.get_current_head():
        return Age.CURRENT
    known = {script.revision for script in directory.walk_revisions()}
    return Age.OLDER if current in known else Age.NEWER


def upgrade(tx: Connection, revision: str = "head") -> None:
    """Bring the schema up to date within this transaction. Whoever comes second waits, and finds it done."""
    if tx.dialect.name == "postgresql":
        tx.execute(text("SET LOCAL lock_timeout = '300s'"))
        tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})
    _refuse_strangers(tx)
    config = _config()
    config.attributes["connection"] = tx
    command.upgrade(config, revision)


def _refuse_strangers(tx: Connection) -> None:
    """Tables that are named like ours, in a database that we never wrote to. Raises Conflict."""
    if MigrationContext.configure(tx).get_current_revision() is not None:
        return
    if taken := sorted(metadata.tables.keys() & set(inspect(tx).get_table_names())):
        raise Conflict(
            f"The database is not empty: it has tables of another program, named as ours would be "
            f"({', '.join(taken)}). Nothing was changed; use an empty database or schema."
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    return config
