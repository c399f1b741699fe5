"""Whether this process lives, and whether each part of it can work."""

import asyncio
import os
from dataclasses import dataclass

from orchestrator.commands.use import Use
from orchestrator.domain.errors import OrchestratorError
from orchestrator.store import workers
from orchestrator.store.workers import Fleet

BOUND_SECONDS = 5.0
"""A part that says nothing for so long is not ready."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part and why it is not ready; `None` when it is."""

    name: str
    problem: str | None = None


async def parts(use: Use, *, with_worker: bool) -> tuple[Part, ...]:
    """Every part there is. The worker is one where it is to run in this process."""
    fleet, database = await _fleet(use)
    found = [Part(name="database", problem=database), await asyncio.to_thread(_vault, use)]
    if with_worker:
        idle = fleet is not None and not fleet.workers
        found.append(Part(name="worker", problem="no worker was heard of lately" if idle else database))
    return tuple(found)


async def _fleet(use: Use) -> tuple[Fleet | None, str | None]:
    try:
        async with asyncio.timeout(BOUND_SECONDS):
            return await use.database.read(workers.fleet, now=use.clock()), None
    except TimeoutError:
        return None, f"no answer within {BOUND_SECONDS:.0f} s"
    except OrchestratorError as error:
        return None, str(error)


def _vault(use: Use) -> Part:
    if not use.host.vault_needed and not use.host.vault.exists():
        return Part(name="vault")
    readable = use.host.vault.is_dir() and os.access(use.host.vault, os.R_OK | os.X_OK)
    return Part(name="vault", problem=None if readable else f"{use.host.vault} cannot be read")
