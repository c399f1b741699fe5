"""The vault of this host: whether there is to be one, begun, brought up to date, looked at."""

import asyncio
import time

import structlog

from orchestrator.commands.migration import migrate
from orchestrator.domain.errors import Conflict, OrchestratorError
from orchestrator.settings import Settings
from orchestrator.vault import duty
from orchestrator.vault.starter import RECORD, seed
from orchestrator.vault.sync import VaultSync

log = structlog.get_logger()


async def begin(settings: Settings) -> None:
    """Make it from the starter vault. The configuration's own profiles come first, so that none of the
    starter vault stands in their way."""
    if settings.agent_profiles is not None:
        settings.vault_path.mkdir(parents=True, exist_ok=True)
        await _migrate(settings)
    await asyncio.to_thread(seed, settings.vault_path)


def is_needed(settings: Settings) -> bool:
    """A host whose vault is never to define the profiles needs none: the database has what the others say."""
    return settings.vault.takes_over or settings.vault_path.exists()


async def bring_up_to_date(settings: Settings) -> None:
    """What a newer version ships, where nobody has touched it; then older documents."""
    if (settings.vault_path / RECORD).exists():
        await asyncio.to_thread(seed, settings.vault_path)
    await _migrate(settings)


async def _migrate(settings: Settings) -> None:
    """Older documents, and profiles of the configuration. A vault that nobody may write is used as it is."""
    given = settings.agent_profiles
    try:
        steps = await migrate(
            home=settings.home,
            vault=settings.vault_path,
            entries=None if given is None else given.get_secret_value(),
            now=time.time(),
        )
    except (OrchestratorError, OSError) as error:
        log.warning("vault.migration_failed", error=str(error))
        return
    for step in steps:
        if step.kind != "stray":  # the vault's first look says that
            say = log.info if step.done else log.warning
            say("vault.migrated" if step.done else "vault.not_migrated", path=step.path, step=step.message)


def candidate_of(settings: Settings) -> duty.Candidate:
    """This vault among those of all hosts."""
    return duty.Candidate(
        holder=f"{settings.worker.name}:{settings.vault_path}", takes_over=settings.vault.takes_over
    )


async def first_look(vault: VaultSync) -> None:
    """Record what it says, unless the vault of another host counts now."""
    try:
        await vault.run_once()
    except duty.VaultBehind:
        pass  # said already; the duty goes on trying
    except Conflict as error:
        log.info("vault.not_leading", message=str(error))
