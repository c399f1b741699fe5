"""`orchestrator events`: what happened, and what happens."""

import asyncio
from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output, times
from orchestrator.cli.options import current
from orchestrator.cli.session import use as session
from orchestrator.cli.whole import WHOLE
from orchestrator.commands.use import Use
from orchestrator.domain.cloud_event import Wanted, cloud_event, gap, wanted_types
from orchestrator.domain.event import StoredEvent
from orchestrator.domain.known_events import checked_types
from orchestrator.store import events as store
from orchestrator.store.database import Transaction
from orchestrator.store.outbox import Topic

SLOW_LOOK = 5.0
"""Seconds between looks when nothing wakes us."""


def events(
    *,
    follow: Annotated[
        bool, Parameter(help="Go on with those that come, until interrupted.", negative=())
    ] = False,
    types: Annotated[
        tuple[str, ...], Parameter(name="--type", help="Types, or beginnings such as 'task.*'; repeatable.")
    ] = (),
    project: Annotated[str | None, Parameter(help="Those of this project only.")] = None,
    task: Annotated[str | None, Parameter(help="Those of this task only; its whole id.")] = None,
    after: Annotated[
        int | None,
        WHOLE,
        Parameter(help="Those after the one with this id; absent: all, with --follow those to come."),
    ] = None,
) -> None:
    """Print events, oldest first; with --json as CloudEvents, one a line."""
    wanted = Wanted(types=checked_types(wanted_types(types)), project_id=project, task_id=task)
    asyncio.run(_run(wanted, after=after, follow=follow))


async def _run(wanted: Wanted, *, after: int | None, follow: bool) -> None:
    async with session() as use, use.database.listener(Topic.EVENTS) as changes:
        last = await _start(use, after, follow=follow)
        while True:
            page, first = await use.database.read(_page, last, wanted)
            if first is not None:
                _show(gap(after=last, first=first, now=use.clock()))
                last = first - 1
            for stored in page:
                last = stored.id
                if stored.event in wanted:
                    _show(stored)
            if len(page) == store.PAGE:
                continue
            if not follow:
                return
            await changes.wait(SLOW_LOOK)


async def _start(use: Use, after: int | None, *, follow: bool) -> int:
    if after is not None:
        return after
    return await use.database.read(store.last_id) if follow else 0


def _page(tx: Transaction, last: int, wanted: Wanted) -> tuple[list[StoredEvent], int | None]:
    page = store.after(tx, last, project_id=wanted.project_id, task_id=wanted.task_id)
    return page, store.first_left(tx, last)


def _show(stored: StoredEvent) -> None:
    if current().json:
        output.print_json(cloud_event(stored), indent=None)
        return
    for part in _line(stored):
        output.console().print(part)


def _line(stored: StoredEvent) -> Iterator[RenderableType]:
    event = stored.event
    said = ", ".join(
        f"{name}={value}" for name, value in event.data.items() if value not in (None, "", [], {})
    )
    yield output.text(f"{stored.id}  {times.shown(event.at)}  {event.kind}  {event.subject}  {said}")
