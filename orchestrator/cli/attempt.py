"""`orchestrator attempt show`, `log`."""

import asyncio
from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import enforcement as layers
from orchestrator.cli import output, times, transcript
from orchestrator.cli.cost import spent
from orchestrator.cli.effective import lines_of
from orchestrator.cli.options import current
from orchestrator.cli.session import call, use
from orchestrator.cli.task_change import Task
from orchestrator.cli.whole import WHOLE
from orchestrator.commands import attempts
from orchestrator.commands.encoding import encode

Number = Annotated[int | None, WHOLE, Parameter(help="Which attempt; absent: the latest.")]


def show(task: Task, number: Number = None) -> None:
    """Show what an attempt ran under and how it ended."""
    output.show(call(attempts.get_attempt, attempts.GetAttempt(task_id=task, number=number)), _details)


def log(task: Task, number: Number = None) -> None:
    """Print what the agent said in an attempt; with --json every message in full, one a line."""

    async def run() -> None:
        to = output.console()
        after = -1
        async with use() as ready:
            while True:
                page = await attempts.attempt_messages(
                    ready,
                    attempts.ReadMessages(task_id=task, number=number, after=after, limit=attempts.BATCH),
                )
                for message in page.messages:
                    if current().json:
                        said = {**encode(message), "rehearsal": page.rehearsal}
                        output.print_json(said, indent=None)
                        continue
                    for line in transcript.lines(message, rehearsal=page.rehearsal):
                        to.print(line)
                after = page.last
                if len(page.messages) < attempts.BATCH:
                    return

    asyncio.run(run())


def _details(details: attempts.AttemptDetails) -> Iterator[RenderableType]:
    attempt = details.attempt
    used = attempt.usage
    rehearsal = attempt.snapshot is not None and attempt.snapshot.rehearsal
    cost = spent(used.cost_usd, rehearsal=rehearsal)
    yield output.facts(
        (
            ("task", attempt.task_id),
            ("attempt", attempt.number),
            ("worker", attempt.worker),
            ("outcome", attempt.outcome or "under way"),
            ("message", attempt.message),
            ("started", times.shown(attempt.started_at)),
            ("ended", times.shown(attempt.ended_at)),
            ("used", f"{used.turns} turns, {used.output_tokens:,} tokens out, {cost}"),
            ("session", attempt.session_id),
            ("checkout", attempt.snapshot and attempt.snapshot.checkout),
        )
    )
    if (under := attempt.snapshot) is not None:
        label = " (a rehearsal)" if under.rehearsal else ""
        yield output.text(f"\nran under profile {under.profile_id}, from tier {under.tier}{label}", "bold")
        yield from output.warnings(under.warnings)
        yield from lines_of(under.effective)
    if attempt.enforcement:
        yield output.text("\nhow its whitelist held", "bold")
        yield from layers.lines_of(attempt.enforcement)
