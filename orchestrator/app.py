"""Composition: settings in, a complete application out, and everything that was started ended again."""

import asyncio
import os
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog

from orchestrator import vault_here
from orchestrator.commands import ids
from orchestrator.commands.use import Host, Use
from orchestrator.domain.catalog import Ceiling
from orchestrator.domain.mcp import McpServer, ServerProbe
from orchestrator.domain.profile import EffectiveProfile
from orchestrator.domain.retention import Keep
from orchestrator.domain.secret import needed
from orchestrator.harness.claude.adapter import ClaudeAdapter
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS, CREDENTIALS, ClaudeAdapterConfig, Timers
from orchestrator.harness.claude.environment import REHEARSAL_KEY
from orchestrator.harness.platform import PlatformRegistry
from orchestrator.harness.process import probe as what_isolates
from orchestrator.install.manifest import program_path
from orchestrator.notify import notify, watchdog_seconds
from orchestrator.settings import Settings
from orchestrator.settings.secrets import Secrets, directory_of, system_keyring
from orchestrator.store import vault as documents
from orchestrator.store import vault_commit
from orchestrator.store.database import Database, Transaction, open_database
from orchestrator.store.duties import Duty, list_duties
from orchestrator.store.outbox import Topic
from orchestrator.vault import duty
from orchestrator.vault.git.attribute import Attribution
from orchestrator.vault.git.cycle import GitOptions, GitVault
from orchestrator.vault.git.follow import follow_remote
from orchestrator.vault.git.in_effect import InEffect
from orchestrator.vault.git.state import GitStatus
from orchestrator.vault.sync import VaultSync
from orchestrator.vault.watch import keep_in_step
from orchestrator.worker.config import WorkerConfig
from orchestrator.worker.directories import Directories
from orchestrator.worker.duties import kept_up, on_duty
from orchestrator.worker.embedded import Address
from orchestrator.worker.loop import Worker
from orchestrator.worker.retention import Retention, keep_bounded
from orchestrator.worker.schedules import DUTY, Schedules
from orchestrator.worker.stop import Stop

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """What every surface stands on, built in order and complete."""

    settings: Settings
    database: Database
    vault: VaultSync
    git: GitVault
    registry: PlatformRegistry
    secrets: Mapping[str, str]
    """Credentials and the values of `${NAME}` references; never shown."""
    ceiling: Ceiling


Begin = Callable[[], Coroutine[Any, Any, None]]

Door = Callable[[App], AbstractAsyncContextManager[Address]]
"""Opens the embedded MCP server for the agents of this process, for as long as the worker works."""


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
        known = gather_secrets(settings, env, rehearsal=rehearsal_url is not None)
        git = git_vault(settings, known)
        candidate = vault_here.candidate_of(settings)
        vault = VaultSync(database=database, root=settings.vault_path, candidate=candidate, lacks=git.lacks)
        # One that was there before and is missing now is not replaced: it may be a mount that is away.
        wanted = settings.vault.takes_over and not settings.vault_path.exists()
        if wanted and not (await database.read(documents.known)).documents:
            await vault_here.begin(settings)
            await vault_here.first_look(vault)
        yield App(
            settings=settings,
            database=database,
            vault=vault,
            git=git,
            registry=PlatformRegistry(
                base=base_config(settings, rehearsal_url, path=env.get("PATH")),
                adapter=ClaudeAdapter(starts_at_once=settings.worker.starts_at_once),
            ),
            secrets=known,
            ceiling=ceiling(settings),
        )
    finally:
        database.close()


@asynccontextmanager
async def running(
    settings: Settings, *, stop: Stop, rehearsal_url: str | None = None, door: Door | None = None
) -> AsyncIterator[App]:
    """The application with its worker at work and the vault kept in step. A vault that began as the starter
    vault gets what a newer version ships, where nobody has touched it.

    `door` is how its agents reach the embedded MCP server; without one they have none of its tools.
    Leaving the block drains the worker; `stop`, set twice, ends it now. systemd hears that the loop is alive,
    and when it stops; that it is ready is said by whoever opens the last door. Raises what `opened` raises.
    """
    async with opened(settings, rehearsal_url=rehearsal_url) as app:
        if vault_here.is_needed(settings):
            await vault_here.bring_up_to_date(settings)
            await vault_here.first_look(app.vault)
        log.info("app.started", home=str(settings.home), database=app.database.place, rehearsal=rehearsal_url)
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            address = None if door is None else await stack.enter_async_context(door(app))
            worker = _worker(app, address)
            beside = [group.create_task(kept_up(name, begin)) for name, begin in _duties(app, worker.id)]
            work = group.create_task(worker.run(stop), name="worker")
            try:
                yield app
            finally:
                notify("STOPPING=1")
                stop.drain.set()
                await work
                for task in beside:
                    task.cancel()


def _duties(app: App, worker: str) -> list[tuple[str, Begin]]:
    """What goes on beside the worker of this id; each begins anew with every call."""
    duties: list[tuple[str, Begin]] = [("schedules", partial(_schedules, app, worker))]
    if vault_here.is_needed(app.settings):
        duties.append(("vault", partial(_vault_duty, app)))
    if app.settings.retention.enabled:
        duties.append(("retention", partial(_retention, app)))
        duties.append(("directories", partial(_directories, app)))
    if (seconds := watchdog_seconds()) is not None:
        duties.append(("watchdog", partial(_feed_the_watchdog, seconds)))
    return duties


def _vault_duty(app: App) -> Coroutine[Any, Any, None]:
    candidate = vault_here.candidate_of(app.settings)
    return on_duty(
        app.database,
        duty.NAME,
        holder=candidate.holder,
        work=partial(_keep_the_vault, app),
        lease_seconds=duty.LEASE_SECONDS,
        takes_over=candidate.takes_over,
    )


async def _keep_the_vault(app: App, _duty: Duty) -> None:
    """For as long as this host's vault defines the profiles."""
    vault = app.settings.vault
    git = git_vault(app.settings, app.secrets)  # its own, which ends with this
    attribution = Attribution(app.database, git)
    in_effect = InEffect(app.database)

    async def look(status: GitStatus) -> None:
        await app.vault.run_once()
        await attribution.look()
        await in_effect.record(status)

    async with app.database.listener(Topic.REMOTE) as asked, asyncio.TaskGroup() as group:
        group.create_task(keep_in_step(app.vault.run_once, app.vault.root, scan_seconds=vault.scan_seconds))
        seconds = vault.git.interval_seconds
        group.create_task(follow_remote(git, look, seconds=seconds, asked=asked, in_effect=in_effect.ask))


def _keep(app: App) -> Keep:
    return Keep(**app.settings.retention.model_dump(exclude={"enabled", "interval_seconds"}))


def _retention(app: App) -> Coroutine[Any, Any, None]:
    """The database's, which one process does for all."""
    holder = f"{app.settings.worker.name}-{uuid.uuid4().hex[:12]}"
    retention = Retention(database=app.database, keep=_keep(app))
    seconds = app.settings.retention.interval_seconds
    return keep_bounded(retention, app.database, holder=holder, seconds=seconds)


def _directories(app: App) -> Coroutine[Any, Any, None]:
    """Those of this host."""
    directories = Directories(home=app.settings.home, database=app.database, keep=_keep(app))
    return directories.go_on(seconds=app.settings.retention.interval_seconds)


def _schedules(app: App, holder: str) -> Coroutine[Any, Any, None]:
    """Tasks by the clock, which one process makes for all. It holds the duty under the id of its worker:
    whoever finds that one dead sets the duty free."""
    schedules = Schedules(
        database=app.database,
        holder=holder,
        home=app.settings.home,
        new_id=lambda: ids.new_id(time.time(), secrets.randbits(40)),
        look_seconds=app.settings.worker.poll_seconds,
    )
    return on_duty(app.database, DUTY, holder=holder, work=schedules.keep)


async def _feed_the_watchdog(seconds: float) -> None:
    """From the loop itself, so that a loop that hangs is noticed."""
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(seconds)


def _worker(app: App, address: Address | None) -> Worker:
    told = app.settings.worker.model_dump(exclude={"starts_at_once"})
    return Worker(
        config=WorkerConfig(home=app.settings.home, **told),
        database=app.database,
        registry=app.registry,
        secrets=app.secrets,
        ceiling=app.ceiling,
        address=address,
    )


def use(app: App, *, clock: Callable[[], float], random: Callable[[], int]) -> Use:
    """What commands may reach of the application."""
    return Use(
        database=app.database,
        sync=app.vault.run_once,
        git=app.git,
        lead=partial(app.database.run, _lead, vault_here.candidate_of(app.settings)),
        behind=partial(_behind, app),
        host=host(app.settings, app.secrets, database=app.database.place),
        clock=clock,
        random=random,
        defaults=app.registry.defaults,
        ceiling=app.ceiling,
        probe=partial(_probe, app.secrets, clock, program_path(app.settings.home, os.environ.get("PATH"))),
    )


def _lead(tx: Transaction, candidate: duty.Candidate) -> None:
    duty.must_take(tx, candidate)


async def _behind(app: App) -> str | None:
    """Of a vault that another host's leads it does not matter: it is synced when it is its turn."""
    commit = await app.database.read(in_effect_here, vault_here.candidate_of(app.settings).holder)
    return None if commit is None else await asyncio.to_thread(app.git.lacks, commit)


def in_effect_here(tx: Transaction, holder: str) -> str | None:
    """The commit in effect, where the vault of this holder is the one that counts."""
    leads = any(one.name == duty.NAME and one.holder == holder for one in list_duties(tx))
    return vault_commit.in_effect(tx) if leads else None


async def _probe(
    secrets: Mapping[str, str], clock: Callable[[], float], path: str, servers: Sequence[McpServer]
) -> Sequence[ServerProbe]:
    """Probe servers as an agent of this process would find them."""
    # The SDK takes half a second to load, and few commands probe.
    from orchestrator.harness.mcp_probe import probe_servers  # noqa: PLC0415 - lazy on purpose

    known = await asyncio.to_thread(needed, servers, secrets, ())
    return await probe_servers(
        servers,
        secrets=known,
        isolation=await asyncio.to_thread(what_isolates),
        clock=clock,
        parent={**os.environ, "PATH": path},
    )


def git_vault(settings: Settings, secrets: Mapping[str, str]) -> GitVault:
    """The vault as a clone, whether or not it is one."""
    git = settings.vault.git.model_dump(include={"enabled", "remote", "branch"})
    options = GitOptions(host=settings.worker.name, secrets=secrets, **git)
    return GitVault(settings.vault_path, options)


def host(settings: Settings, secrets: Mapping[str, str], *, database: str) -> Host:
    """What the doctor looks at; of the secrets, only the names of credentials."""
    return Host(
        home=settings.home,
        vault=settings.vault_path,
        vault_needed=settings.vault.takes_over,
        database=database,
        cli_path=settings.claude.cli_path,
        credentials=", ".join(name for name in CREDENTIALS if name in secrets) or None,
        install_on_import=settings.install.on_import,
        install_seconds=settings.install.timeout_seconds,
    )


def base_config(
    settings: Settings, rehearsal_url: str | None, *, path: str | None = None
) -> ClaudeAdapterConfig:
    """The operator's part of how Claude Code is launched. Packages that profiles need are on the PATH."""
    claude = settings.claude
    return ClaudeAdapterConfig(
        effective=_defaults(settings),
        timers=Timers(start=claude.start_seconds, stall=claude.stall_seconds),
        cli_path=str(claude.cli_path) if claude.cli_path else None,
        base_url=rehearsal_url or claude.base_url,
        environment={"PATH": program_path(settings.home, path)},
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
) -> Mapping[str, str]:
    """Where credentials and the values of references come from: the settings, the secrets directory, the
    environment, a keyring. A rehearsal gets no credentials: nothing real may depend on a script's answers."""
    given: dict[str, str] = {}
    if settings.claude.api_key is not None:
        given["ANTHROPIC_API_KEY"] = settings.claude.api_key.get_secret_value()
    if rehearsal:
        given["ANTHROPIC_API_KEY"] = REHEARSAL_KEY
    return Secrets(
        given=given,
        directory=directory_of(environment, settings.secrets_dir),
        environment=environment,
        credentials=CREDENTIALS,
        withheld=CREDENTIALS if rehearsal else (),
        keyring=system_keyring(),
    )
