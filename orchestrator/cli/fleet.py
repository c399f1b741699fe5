"""`orchestrator worker list`, `drain`."""

import time
from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output, times
from orchestrator.cli.session import call
from orchestrator.commands import fleet


def list_() -> None:
    """List the workers of all hosts."""
    output.show(call(fleet.list_workers, fleet.ListWorkers()), _listed)


def drain(
    worker: Annotated[str, Parameter(help="Its id, or the beginning of it that no other has.")],
) -> None:
    """Have a worker take nothing new, end or put off what it runs, and stop, on whichever host it is."""
    output.show(call(fleet.drain_worker, fleet.DrainWorker(worker=worker)), _draining)


def _listed(found: fleet.WorkerList) -> Iterator[RenderableType]:
    if not found.workers:
        yield output.text("no workers; start one with `orchestrator up` or `orchestrator worker`")
        return
    now = time.time()
    yield output.table(
        ("id", "host", "labels", "running", "state", "seen"),
        (
            (
                one.id,
                one.host,
                ", ".join(one.labels) or "-",
                f"{one.running} of {one.slots}",
                "draining" if one.draining else "alive" if one.alive else "silent",
                times.ago(one.seen_at, now=now),
            )
            for one in found.workers
        ),
    )
    for one in found.workers:
        if one.lacks:
            yield output.text(f"{one.id} lacks: {', '.join(one.lacks)}", "yellow")


def _draining(done: fleet.WorkerDraining) -> Iterator[RenderableType]:
    yield output.text(f"worker {done.draining} on {done.host} drains; {done.running} attempts under way")
    yield from output.warnings(done.warnings)
