"""`orchestrator backup` and `orchestrator restore`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console, RenderableType
from rich.progress import Progress

from orchestrator.cli import output
from orchestrator.cli.session import settings
from orchestrator.store import backup as store
from orchestrator.store.backup import Copy
from orchestrator.store.database import open_database


def backup(
    file: Annotated[Path, Parameter(help="Where the copy is to be; only you can read it.")],
    /,
    *,
    overwrite: Annotated[bool, Parameter(help="Replace a file that is there.")] = False,
) -> None:
    """Copy the database to a file while it is in use, and check the copy."""
    source = store.sqlite_file(settings().settings.database_url)
    with shown("copying") as progress:
        made = store.backup(source, file, overwrite=overwrite, progress=progress)
    output.show(made, _backed_up)


def restore(
    file: Annotated[Path, Parameter(help="A copy that `orchestrator backup` made.")],
    /,
    *,
    overwrite: Annotated[bool, Parameter(help="Replace the database that is there.")] = False,
    sha256: Annotated[str | None, Parameter(help="Refuse a copy with another digest.")] = None,
) -> None:
    """Make the database what a copy is; nothing may have it open."""
    url = settings().settings.database_url
    target = store.sqlite_file(url)
    with shown("restoring") as progress:
        done = store.restore(file, target, overwrite=overwrite, progress=progress, sha256=sha256)
    open_database(url, migrate=True).close()
    output.show(done, _restored)


@contextmanager
def shown(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr while it lasts, where somebody looks; told how much of how much is done."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _backed_up(made: Copy) -> Iterator[RenderableType]:
    yield output.text(f"{made.path}: {made.bytes:,} bytes, checked")
    yield output.text(f"sha256 {made.sha256}")
    yield output.text("the vault, the settings and secrets are not in it: see docs/operations.md", "dim")


def _restored(done: Copy) -> Iterator[RenderableType]:
    yield output.text(f"{done.path} is what the copy was (sha256 {done.sha256})")
    yield output.text("tasks that ended since then are as they were, and may run again", "yellow")
