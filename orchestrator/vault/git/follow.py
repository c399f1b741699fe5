"""The duty that keeps the vault in step with its remote, beside the event loop."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from orchestrator.domain.errors import OrchestratorError
from orchestrator.store.wake import Listener
from orchestrator.vault.duty import VaultBehind
from orchestrator.vault.git.cycle import GitVault
from orchestrator.vault.git.state import GitState, GitStatus

log = structlog.get_logger()


async def follow_remote(
    vault: GitVault,
    look: Callable[[GitStatus], Awaitable[object]],
    *,
    seconds: float,
    asked: Listener | None = None,
    in_effect: Callable[[], Awaitable[str | None]] | None = None,
) -> None:
    """One cycle every so many seconds, and whenever `asked` is rung; `look` reads the tree after it. Runs
    until it is cancelled, and takes the cycle that is running with it. `in_effect` is asked before each for
    the commit that the clone is to have.

    What is wrong with repository or remote is in the cycle's status, and it goes on.
    """
    asked = asked or Listener()
    while True:
        try:
            wanted = None if in_effect is None else await in_effect()
            status = await asyncio.to_thread(vault.run_once, wanted)
            if status.state is not GitState.OFF:
                await look(status)
        except VaultBehind:
            pass  # said already, once
        except (OrchestratorError, OSError) as error:
            log.warning("vault.sync_failed", error=str(error))
        except asyncio.CancelledError:
            vault.stop()
            raise
        await asked.wait(seconds)
