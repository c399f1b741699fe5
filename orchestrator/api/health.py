"""Whether this process lives, and whether each part of it can work."""

import asyncio
import os
import socket
from dataclasses import dataclass

from orchestrator.commands.use import Use
from orchestrator.domain.errors import OrchestratorError
from orchestrator.store import queue, workers
from orchestrator.store.database import Transaction
from orchestrator.store.workers import SEEN_SECONDS, Worker

BOUND_SECONDS = 5.0
"""A part that says nothing for so long is not ready."""

STUCK_SECONDS = 30.0
"""A turn of a worker's loop takes milliseconds; one that takes so long is stuck."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part and why it is not ready; `None` when it is."""

    name: str
    problem: str | None = None


async def parts(use: Use, *, with_worker: bool) -> tuple[Part, ...]:
    """Every part there is. The worker is one where it is to run in this process."""
    worker, database = await _workers(use)
    found = [Part(name="database", problem=database), await asyncio.to_thread(_vault, use)]
    if with_worker:
        found.append(Part(name="worker", problem=database or worker))
    return tuple(found)


async def _workers(use: Use) -> tuple[str | None, str | None]:
    """What is wrong with this process's worker, and with the database that says so."""
    try:
        async with asyncio.timeout(BOUND_SECONDS):
            return await use.database.read(_own_worker), None
    except TimeoutError:
        return None, f"no answer within {BOUND_SECONDS:.0f} s"
    except OrchestratorError as error:
        return None, str(error)


def _own_worker(tx: Transaction) -> str | None:
    now, me = queue.clock(tx), (socket.gethostname(), os.getpid())
    own = [row for row in workers.list_workers(tx) if (row.host, row.pid) == me]
    return worker_problem(max(own, key=lambda row: row.seen_at, default=None), now=now)


def worker_problem(row: Worker | None, *, now: float) -> str | None:
    """Why this worker takes no tasks; `None` when it does."""
    if row is None:
        return "it has not presented itself yet"
    if row.seen_at <= now - SEEN_SECONDS:
        return f"its last heartbeat was {now - row.seen_at:.0f} s ago"
    if row.turning_since is not None and row.turning_since < now - STUCK_SECONDS:
        return (
            f"its heartbeat goes on, but its loop has come to nothing for {now - row.turning_since:.0f} s; "
            "its log says whether the database keeps it waiting"
        )
    return "it drains, and takes nothing new" if row.draining else None


def _vault(use: Use) -> Part:
    if not use.host.vault_needed and not use.host.vault.exists():
        return Part(name="vault")
    readable = use.host.vault.is_dir() and os.access(use.host.vault, os.R_OK | os.X_OK)
    return Part(name="vault", problem=None if readable else f"{use.host.vault} cannot be read")
