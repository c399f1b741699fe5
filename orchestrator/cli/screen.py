"""What `up` shows: profiles applied, tools granted, answers, and what to type next."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.console import RenderableType

from orchestrator.cli import output
from orchestrator.cli.cost import spent
from orchestrator.cli.hints import typed
from orchestrator.cli.options import current
from orchestrator.commands import task_views, tasks
from orchestrator.commands.use import Use
from orchestrator.domain.event import Event, StoredEvent
from orchestrator.store import events
from orchestrator.store.outbox import Topic

SLOW_LOOK: Final = 5.0
"""Seconds between looks when nothing wakes us."""

ENDED: Final = frozenset({"task.completed", "task.failed", "task.cancelled", "task.blocked"})
TOLD: Final = frozenset(
    {
        "profile.applied",
        "attempt.ended",
        "attempt.profile_fallback",
        "profile.rejected",
        "task.asked",
        "task.held",
        *ENDED,
    }
)

ANSWER: Final = 2000
"""Characters of an answer on the screen; `task show` has all of it."""


async def follow(use: Use, last: int, stop: asyncio.Event) -> None:
    """Show every event after the one with the id `last`, until `stop` is set."""
    async with use.database.listener(Topic.EVENTS) as changes:
        while not stop.is_set():
            found = await use.database.read(events.after, last, limit=events.PAGE)
            for stored in found:
                last = stored.id
                await tell(use, stored)
            if len(found) < events.PAGE:
                await _either(changes.wait(SLOW_LOOK), stop.wait())


async def tell(use: Use, stored: StoredEvent) -> None:
    """Show one event: every one as a line of JSON with --json, else those that a person follows."""
    event = stored.event
    if current().json:
        output.print_json({"id": stored.id, "event": event}, indent=None)
        return
    if event.kind not in TOLD:
        return
    to = output.console()
    for part in _lines(event):
        to.print(part)
    if event.kind in ENDED and event.task_id is not None:
        for part in _ending(await task_views.get_task(use, tasks.NamedTask(task_id=event.task_id))):
            to.print(part)


def _lines(event: Event) -> Iterator[RenderableType]:
    data = event.data
    match event.kind:
        case "profile.applied":
            yield from _applied(event)
        case "task.asked":
            yield output.text(f"{event.task_id} asks: {data.get('message', '')}", "magenta")
            yield output.hint("answer it", typed(f"task answer {event.task_id} 'your answer'"), "magenta")
        case "attempt.ended" if data.get("outcome") not in ("completed", "cancelled", "asked"):
            what = f"{event.task_id} attempt {data.get('attempt')}: {data.get('outcome')}"
            yield output.text(f"{what}. {data.get('message', '')}".rstrip(), "yellow")
        case "attempt.profile_fallback" | "task.held" | "profile.rejected":
            said = data.get("message") or data.get("error") or event.kind
            yield output.text(f"{event.task_id or event.subject}: {said}", "yellow")


def _applied(event: Event) -> Iterator[RenderableType]:
    data = event.data
    yield output.text(f"{event.task_id} starts, attempt {data.get('attempt')}", "bold")
    yield output.facts(
        (
            ("  profile", f"{data.get('profile')} (from tier {data.get('tier')})"),
            ("  tools", _names(data, "tools")),
            ("  MCP servers", _names(data, "mcp_servers")),
        )
    )


def _ending(details: task_views.TaskDetails) -> Iterator[RenderableType]:
    task = details.task
    yield output.text(
        f"{task.id} {task.state}: {task.title}", f"bold {output.STATE_STYLES.get(task.state, '')}"
    )
    if details.attempts:
        rehearsed = all(attempt.rehearsal for attempt in details.attempts)
        costs = (one.cost_usd for one in details.attempts if rehearsed or not one.rehearsal)
        yield output.text(spent(sum(costs), rehearsal=rehearsed), "dim")
    if task.result:
        yield output.text(task.result[:ANSWER])
        if len(task.result) > ANSWER:
            yield output.hint("… all of it", typed(f"task show {task.id}"))
    yield output.hint("why so", typed(f"task explain {task.id}"))


def _names(data: Mapping[str, Any], key: str) -> str:
    names = data.get(key)
    return ", ".join(map(str, names)) if isinstance(names, list | tuple) and names else "none"


async def _either(*waits: Any) -> None:
    """Return when the first of them does; the others are cancelled."""
    pending = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in pending:
            wait.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
