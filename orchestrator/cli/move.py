"""`orchestrator move`."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output
from orchestrator.cli.backup import shown
from orchestrator.cli.session import settings
from orchestrator.domain.errors import Conflict
from orchestrator.store import backup, target, workers
from orchestrator.store import copy as copying
from orchestrator.store.copy import Copied
from orchestrator.store.database import Database, open_database

if TYPE_CHECKING:
    from orchestrator.settings import Loaded

ENVIRONMENT, SECRETS = "environment", "secrets in "
"""Origins of a setting, as `settings.load` names them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """The databases without passwords. `tables` in the order in which they were copied."""

    moved_from: str
    moved_to: str
    rows: int
    tables: tuple[Copied, ...]
    set_in: str
    """The file, or `environment`, where the old address is and the new one has to be."""
    set_line: str
    """What to write there."""


def move(
    *,
    to: Annotated[str, Parameter(help="Address of an empty database: postgresql://user@host/name.")],
) -> None:
    """Copy everything into an empty database of either kind, and compare it row by row."""
    address = target.check(to)
    loaded = settings()
    url = loaded.settings.database_url
    if url.startswith("sqlite"):
        backup.refuse_in_use(backup.sqlite_file(url))
    with ExitStack() as stack:
        source = stack.enter_context(open_database(url, migrate=False))
        _refuse_workers(source)
        into = stack.enter_context(target.open_target(to))
        progress = stack.enter_context(shown("copying and comparing"))
        tables = copying.copy(source, into, progress=progress)
        where, line = _setting(loaded, address)
        moved = Moved(
            moved_from=source.place,
            moved_to=into.place,
            rows=sum(table.rows for table in tables),
            tables=tables,
            set_in=where,
            set_line=line,
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
    yield output.text("the old database is untouched, and is in use until the new address is set.")
    place = "the environment" if moved.set_in == ENVIRONMENT else moved.set_in
    absent = moved.set_in != ENVIRONMENT and not Path(moved.set_in).exists()
    yield from output.steps(
        f"Make {place} with"
        if absent
        else f"Write into {place}, instead of what it says of the database now",
        moved.set_line,
        style="bold",
    )
    if "***" in moved.set_line:
        yield output.text("*** is the password; better leave it to PGPASSWORD or ~/.pgpass")
    yield output.text(
        f"Then `orchestrator config show` must say that database.url is from {moved.set_in}, and "
        f"`orchestrator doctor` that the database is {moved.moved_to}; start again only then."
    )


def _setting(loaded: "Loaded", address: str) -> tuple[str, str]:
    """Where the address is set: what came from elsewhere than the file would win over it."""
    origin = loaded.origins.get("database.url", "")
    if origin == ENVIRONMENT:
        return ENVIRONMENT, f"ORCHESTRATOR_DATABASE__URL={address}"
    if origin.startswith(SECRETS):
        return str(Path(origin.removeprefix(SECRETS)) / "database__url"), address
    return str(loaded.config_file), f"database: {{url: {json.dumps(address)}}}"
