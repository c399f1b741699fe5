"""Composition: settings in, a complete application out, and everything that was started ended again."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from orchestrator.commands.use import Host, Use
from orchestrator.domain.catalog import Ceiling
from orchestrator.domain.profile import EffectiveProfile
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS, CREDENTIALS, ClaudeAdapterConfig, Timers
from orchestrator.harness.platform import PlatformRegistry
from orchestrator.settings import Settings
from orchestrator.store.database import Database, open_database
from orchestrator.vault.starter import seed
from orchestrator.vault.sync import VaultSync

DUMMY_KEY: Final = "rehearsal"
"""What the agent is given as a key in a rehearsal: it wants one, and nobody checks it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """What every surface stands on, built in order and complete."""

    settings: Settings
    database: Database
    vault: VaultSync
    registry: PlatformRegistry
    secrets: Mapping[str, str]
    """Credentials and the values of `${NAME}` references; never shown."""
    ceiling: Ceiling


@asynccontextmanager
async def opened(
    settings: Settings, *, rehearsal_url: str | None = None, environment: Mapping[str, str] | None = None
) -> AsyncIterator[App]:
    """Database, vault and harnesses, without a worker. A new home gets its directories and the starter vault.

    With `rehearsal_url` the agents are answered from there, and everything they do is marked as a rehearsal.
    Raises the errors of `open_database`, and OSError where the home cannot be written.
    """
    env = os.environ if environment is None else environment
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = open_database(settings.database_url)
    try:
        if not settings.vault_path.exists():
            seed(settings.vault_path)
        yield App(
            settings=settings,
            database=database,
            vault=VaultSync(database=database, root=settings.vault_path),
            registry=PlatformRegistry(base=base_config(settings, rehearsal_url)),
            secrets=gather_secrets(settings, env, rehearsal=rehearsal_url is not None),
            ceiling=ceiling(settings),
        )
    finally:
        database.close()


def use(app: App, *, clock: Callable[[], float], random: Callable[[], int]) -> Use:
    """What commands may reach of the application."""
    return Use(
        database=app.database,
        sync=app.vault.run_once,
        host=host(app.settings, app.secrets, database=app.database.place),
        clock=clock,
        random=random,
        defaults=app.registry.defaults,
        ceiling=app.ceiling,
    )


def host(settings: Settings, secrets: Mapping[str, str], *, database: str) -> Host:
    """What the doctor looks at; of the secrets, only the names of credentials."""
    return Host(
        home=settings.home,
        vault=settings.vault_path,
        database=database,
        cli_path=settings.claude.cli_path,
        credentials=", ".join(name for name in CREDENTIALS if name in secrets) or None,
    )


def base_config(settings: Settings, rehearsal_url: str | None) -> ClaudeAdapterConfig:
    """The operator's part of how Claude Code is launched."""
    claude = settings.claude
    return ClaudeAdapterConfig(
        effective=_defaults(settings),
        timers=Timers(start=claude.start_seconds, stall=claude.stall_seconds),
        cli_path=str(claude.cli_path) if claude.cli_path else None,
        base_url=rehearsal_url or claude.base_url,
        max_retries=claude.max_retries,
        sandboxed=claude.sandboxed,
        allow_bypass=claude.allow_bypass,
        rehearsal=rehearsal_url is not None,
    )


def _defaults(settings: Settings) -> EffectiveProfile:
    """The harness's defaults with those that this installation sets, each saying so."""
    claude = settings.claude
    given = {
        "model": claude.model,
        "permission_mode": claude.permission_mode,
        "max_budget_usd": claude.max_budget_usd,
        "timeout_seconds": claude.timeout_seconds,
    }
    changed = {name: value for name, value in given.items() if value is not None}
    origins = {**CLAUDE_DEFAULTS.origins, **dict.fromkeys(changed, "setting of this installation")}
    return replace(CLAUDE_DEFAULTS, **changed, origins=origins)  # type: ignore[arg-type]  # checked by settings


def ceiling(settings: Settings) -> Ceiling:
    """What this installation allows at most; the settings have a key for each of its fields."""
    return Ceiling(**settings.policy.model_dump())


def gather_secrets(
    settings: Settings, environment: Mapping[str, str], *, rehearsal: bool = False
) -> dict[str, str]:
    """Credentials from settings and environment, and each file of the secrets directory under its name.
    A rehearsal gets no credentials: nothing real may depend on a script's answers."""
    found = {name: environment[name] for name in CREDENTIALS if environment.get(name)}
    directory = environment.get("CREDENTIALS_DIRECTORY") or settings.secrets_dir
    if directory and Path(directory).is_dir():
        for file in sorted(Path(directory).iterdir()):
            if file.is_file() and "." not in file.name:
                found[file.name] = file.read_text(encoding="utf-8").strip()
    if settings.claude.api_key is not None:
        found["ANTHROPIC_API_KEY"] = settings.claude.api_key.get_secret_value()
    if rehearsal:
        kept = {name: value for name, value in found.items() if name not in CREDENTIALS}
        return {**kept, "ANTHROPIC_API_KEY": DUMMY_KEY}
    return found
