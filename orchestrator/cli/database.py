"""`orchestrator migrate`."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output
from orchestrator.cli.session import settings, use
from orchestrator.cli.times import shown
from orchestrator.commands import migration
from orchestrator.commands.encoding import OPTIONAL
from orchestrator.store.database import open_database
from orchestrator.vault.migrate import Step

if TYPE_CHECKING:
    from orchestrator.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Migrated:
    """`migrated` is the database, null when it was not touched; `steps` are those of the vault, done or, with
    `dry_run`, still to do; `earlier` is what was done before."""

    migrated: str | None
    dry_run: bool
    steps: tuple[Step, ...]
    earlier: tuple[migration.Recorded, ...] = field(default=(), metadata=OPTIONAL)


def migrate(
    *,
    from_config: Annotated[
        Path | None, Parameter(help="A config.yaml whose `agent_profiles` are moved into the vault.")
    ] = None,
    dry_run: Annotated[bool, Parameter(help="Change nothing; say what would be done.")] = False,
    report: Annotated[bool, Parameter(help="Change nothing; say what was done, and what is left.")] = False,
) -> None:
    """Bring the database's schema and the vault's documents up to date."""
    loaded = settings().settings
    looking = dry_run or report
    place = None if looking else _migrate_database(loaded.database_url)
    steps = asyncio.run(_migrate_vault(loaded, from_config, looking=looking))
    earlier = migration.read_record(loaded.home).steps if report else ()
    output.show(Migrated(migrated=place, dry_run=looking, steps=steps, earlier=earlier), _told)


def _migrate_database(url: str) -> str:
    with open_database(url, migrate=True) as database:
        return database.place


async def _migrate_vault(loaded: "Settings", from_config: Path | None, *, looking: bool) -> tuple[Step, ...]:
    own = loaded.agent_profiles
    entries = None if own is None else own.get_secret_value()
    if from_config is not None:
        entries = migration.entries_of(from_config)
    migrate = partial(
        migration.migrate,
        home=loaded.home,
        vault=loaded.vault_path,
        entries=entries,
        again=from_config is not None,
        dry_run=looking,
        now=time.time(),
    )
    if looking:
        return await migrate()
    known = len(migration.read_record(loaded.home).steps)
    async with use() as ready:  # a new home gets its vault here, with the profiles of its configuration
        first = migration.read_record(loaded.home).steps[known:]
        steps = await migrate()
        await ready.sync()
    return (*(Step(kind=step.kind, path=step.path, message=step.message) for step in first), *steps)


def _told(done: Migrated) -> Iterator[RenderableType]:
    for before in done.earlier:
        yield output.text(f"{shown(before.at)}  {before.path}: {before.message}", "dim")
    for step in done.steps:
        left = "" if step.done else "left as it is: "
        would = "would write: " if step.done and done.dry_run else ""
        yield output.text(f"{left}{would}{step.path}: {step.message}", "" if step.done else "yellow")
    if done.migrated is not None:
        yield output.text(f"{done.migrated} is up to date")
    elif not any(step.done for step in done.steps):
        yield output.text("nothing is left to do")
