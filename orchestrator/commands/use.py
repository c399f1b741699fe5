"""What a command may use: the database, the vault, the host, a clock."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.domain.catalog import Ceiling
from orchestrator.domain.mcp import McpServer, ServerProbe
from orchestrator.domain.profile import EffectiveProfile

if TYPE_CHECKING:
    # Only their names: help and `config show` need neither a database nor a vault.
    from orchestrator.store.database import Database
    from orchestrator.vault.git.cycle import GitVault
    from orchestrator.vault.sync import SyncReport


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks: a person or a program of his, or an agent at work, which has an `agent`."""

    name: str = "operator"
    agent: "Agent | None" = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Agent:
    """An agent as a caller: the attempt it works in, and what it was granted when that began."""

    task_id: str
    attempt: int
    project_id: str
    effective: EffectiveProfile


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """What the doctor is to look at: settings as plain values, no secret among them."""

    home: Path
    vault: Path
    database: str
    """The database's address without its password."""
    vault_needed: bool = True
    """Whether the vault has to be there; not on a host whose vault is never to define the profiles."""
    cli_path: Path | None = None
    credentials: str | None = None
    """Where the credentials come from, such as `ANTHROPIC_API_KEY`; `None` when there are none."""
    install_on_import: bool = True
    install_seconds: float = 300.0


async def _alone() -> None:
    """Where there is one vault only, it leads, and is not behind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """Built once for each process by who composes it; commands reach nothing else."""

    database: "Database"
    sync: Callable[[], Awaitable["SyncReport"]]
    """Look at the vault again; see `vault.sync.run_once`."""
    host: Host
    clock: Callable[[], float]
    """Unix seconds."""
    random: Callable[[], int]
    """An integer of at least 40 random bits, for ids."""
    defaults: Mapping[str, EffectiveProfile] = field(default_factory=dict)
    """One complete profile per harness."""
    ceiling: Ceiling = field(default_factory=Ceiling)
    caller: Caller = field(default_factory=Caller)
    probe: Callable[[Sequence[McpServer]], Awaitable[Sequence[ServerProbe]]] | None = None
    """Start servers and ask for their tools, side by side; `None` where none can be started."""
    git: "GitVault | None" = None
    """The vault as a clone; `None` where nothing is ever synced."""
    lead: Callable[[], Awaitable[None]] = _alone
    """Take the vault's duty; raises Conflict while another host's vault has it."""
    behind: Callable[[], Awaitable[str | None]] = _alone
    """What to do while this host's vault is the one that counts and lacks what is in effect."""
