"""`orchestrator move`."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output
from orchestrator.cli.backup import shown
from orchestrator.cli.session import settings
from orchestrator.domain.errors import Conflict
from orchestrator.store import backup, workers
from orchestrator.store import copy as copying
from orchestrator.store.copy import Copied
from orchestrator.store.database import Database, open_database


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """The databases without passwords. `tables` in the order in which they were copied."""

    moved_from: str
    moved_to: str
    rows: int
    tables: tuple[Copied, ...]


def move(
    *,
    to: Annotated[str, Parameter(help="Address of an empty database: postgresql://user@host/name.")],
) -> None:
    """Copy everything into an empty database of either kind, and compare it row by row."""
    url = settings().settings.database_url
    if url.startswith("sqlite"):
        backup.refuse_in_use(backup.sqlite_file(url))
    with ExitStack() as stack:
        source = stack.enter_context(open_database(url, migrate=False))
        _refuse_workers(source)
        target = stack.enter_context(open_database(to, migrate=True))
        progress = stack.enter_context(shown("copying and comparing"))
        tables = copying.copy(source, target, progress=progress)
        moved = Moved(
            moved_from=source.place,
            moved_to=target.place,
            rows=sum(table.rows for table in tables),
            tables=tables,
        )
    output.show(moved, _told)


def _refuse_workers(source: Database) -> None:
    """On PostgreSQL any host may be at work. Raises Conflict."""
    if source.dialect != "postgresql":
        return
    since = time.time() - workers.SEEN_SECONDS
    busy = [row.id for row in source.read_sync(workers.list_workers) if row.seen_at > since]
    if busy:
        raise Conflict(
            f"{len(busy)} workers were at work there within the last minute ({', '.join(busy[:3])}); nothing "
            f"was changed. Stop them, wait a minute, then move again."
        )


def _told(moved: Moved) -> Iterator[RenderableType]:
    yield output.table(
        ("table", "rows", "sha256"),
        ((table.table, f"{table.rows:,}", table.sha256[:16]) for table in moved.tables if table.rows),
    )
    yield output.text(f"{moved.rows:,} rows are the same in {moved.moved_from} and {moved.moved_to}", "bold")
    yield output.text(
        "the old database is untouched; now set database.url to the new address, and start again"
    )
