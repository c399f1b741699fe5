"""What can be set: every key, its type, its default and its meaning."""

import os
import socket
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Secret,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from orchestrator.domain.retention import ACCOUNTED_DAYS
from orchestrator.settings.policy import checked_allowed, checked_denied, checked_mode

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
NullText = BeforeValidator(lambda given: None if given == "null" else given)
"""Variables of the environment are text; files can say it themselves."""
Days = Annotated[Annotated[float, Field(ge=0)] | None, NullText]
Accounted = Annotated[Annotated[float, Field(ge=ACCOUNTED_DAYS)] | None, NullText]
Rows = Annotated[Annotated[int, Field(ge=0)] | None, NullText]
Size = Annotated[Annotated[float, Field(ge=0)] | None, NullText]
ClaudeMode = Annotated[str, AfterValidator(lambda mode: checked_mode(mode, "claude"))]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class DatabaseSettings(Section):
    url: SecretStr | None = Field(
        default=None,
        description="SQLAlchemy URL; absent: an SQLite file `orchestrator.db` in the home directory.",
    )


class VaultGitSettings(Section):
    enabled: bool | None = Field(
        default=None, description="Sync with a remote; absent: when the vault is a clone that has one."
    )
    remote: str | None = Field(
        default=None, description="Name of the remote; absent: that of the branch, else `origin`."
    )
    branch: str | None = Field(
        default=None, description="The remote's branch; absent: that of the branch that is checked out."
    )
    interval_seconds: Positive = Field(default=60.0, description="How often the remote is looked at.")
    webhook_secret: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="What a git host signs its calls with; absent: whoever calls needs a token.",
    )


class VaultSettings(Section):
    path: Path | None = Field(
        default=None, description="The vault's directory; absent: `vault` in the home directory."
    )
    scan_seconds: Positive = Field(default=5.0, description="How often the whole vault is looked at again.")
    takes_over: bool = Field(
        default=True,
        description="Whether this host's vault defines the profiles once the host that did so is away; "
        "where false, a host needs no vault.",
    )
    git: VaultGitSettings = VaultGitSettings()


class WorkerSettings(Section):
    name: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        description="What the worker's id begins with, and who commits in its vault. Limits of a host go by "
        "its hostname, whatever this says.",
    )
    slots: Count = Field(default=4, description="Attempts at once on this host.")
    labels: tuple[Annotated[str, Field(pattern=r"^\S{1,64}$")], ...] = Field(
        default=(), description="What tasks and projects can require of a worker, such as `gpu`."
    )
    starts_at_once: Count = Field(
        default_factory=lambda: os.cpu_count() or 1, description="Agents in start-up at the same time."
    )
    lease_seconds: Positive = Field(default=30.0, description="How long a claim holds without a heartbeat.")
    heartbeat_seconds: Positive = Field(default=5.0, description="How often leases are extended.")
    max_losses: Count = Field(
        default=3, description="Attempts of a task in a row lost with their worker before it is put aside."
    )
    answer_days: Days = Field(
        default=7.0,
        description="A task whose agent asked fails when nobody answers for so long; `null`: never.",
    )
    poll_seconds: Positive = Field(default=5.0, description="Slow look behind the wake-up by the database.")
    drain_seconds: Annotated[float, Field(ge=0)] = Field(
        default=20.0, description="How long running attempts may go on after SIGTERM before they are put off."
    )

    @model_validator(mode="after")
    def _a_heartbeat_may_be_missed(self) -> Self:
        if self.lease_seconds < 2 * self.heartbeat_seconds:
            raise ValueError(
                f"lease_seconds ({self.lease_seconds:g}) must be at least twice heartbeat_seconds "
                f"({self.heartbeat_seconds:g}), or one late heartbeat loses the task"
            )
        return self


class ClaudeSettings(Section):
    cli_path: Path | None = Field(
        default=None, description="The Claude Code executable; absent: PATH, then the extra `claude`."
    )
    api_key: SecretStr | None = Field(
        default=None, description="Key for the model's service (also ANTHROPIC_API_KEY)."
    )
    base_url: str | None = Field(
        default=None, description="Address of the model's service; absent: the CLI's own."
    )
    model: str | None = Field(default=None, description="Model where no profile names one; a full name.")
    permission_mode: ClaudeMode | None = Field(
        default=None, description="Permission mode where no profile names one."
    )
    max_budget_usd: Positive | None = Field(
        default=None, description="Spend of one attempt where no profile limits it."
    )
    timeout_seconds: Positive | None = Field(
        default=None, description="Length of one attempt where no profile limits it."
    )
    start_seconds: Positive = Field(
        default=90.0, description="An agent that has not reported for duty by then is ended."
    )
    stall_seconds: Positive = Field(
        default=900.0, description="An agent that says nothing for so long is ended."
    )
    max_retries: Annotated[int, Field(ge=0, le=15)] = Field(
        default=3, description="Tries of the CLI itself for one request to the model's service."
    )
    allow_bypass: bool = Field(default=False, description="Whether a profile may ask for bypassPermissions.")
    sandboxed: bool = Field(
        default=False, description="Operator's word that agents here run inside a sandbox."
    )


class PolicySettings(Section):
    """The ceiling: what this installation allows at most, applied after every profile."""

    allowed_tools: tuple[Annotated[str, AfterValidator(checked_allowed)], ...] | None = Field(
        default=None, description="No other tools are ever granted."
    )
    denied_tools: tuple[Annotated[str, AfterValidator(checked_denied)], ...] = Field(
        default=(), description="Never granted, whatever a profile says."
    )
    mcp_servers: tuple[str, ...] | None = Field(
        default=None, description="No other MCP servers are ever started."
    )
    permission_modes: tuple[Annotated[str, AfterValidator(checked_mode)], ...] | None = Field(
        default=None, description="No other modes are ever used."
    )
    max_turns: Count | None = Field(default=None, description="Turns of one attempt at most.")
    max_tokens_per_task: Count | None = Field(default=None, description="Tokens of one attempt at most.")
    max_budget_usd: Positive | None = Field(default=None, description="Spend of one attempt at most.")
    timeout_seconds: Positive | None = Field(default=None, description="Length of one attempt at most.")


class InstallSettings(Section):
    on_import: bool = Field(
        default=True, description="Whether importing a profile installs what it needs; else it only reports."
    )
    timeout_seconds: Positive = Field(default=300.0, description="Time for one package to install.")


class ApiSettings(Section):
    enabled: bool = Field(default=True, description="Whether `up` answers over HTTP.")
    host: IPv4Address | IPv6Address = Field(
        default=IPv4Address("127.0.0.1"),
        description="Address to listen on; others than loopback need `api.allow_remote`.",
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=8420, description="Port to listen on; 0: any that is free."
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Names besides loopback's under which requests are answered, such as a proxy's.",
    )
    allow_remote: bool = Field(
        default=False, description="Whether `api.host` may be an address that other hosts can reach."
    )
    open_health: bool = Field(
        default=False, description="Whether /healthz and /readyz answer without a token, for probes."
    )


class RetentionSettings(Section):
    """How long what is kept. An age or a size of `null`: without end."""

    enabled: bool = Field(default=True, description="Whether anything is ever archived or removed unasked.")
    interval_seconds: Positive = Field(default=3600.0, description="How often this is looked at.")
    archive_after_days: Days = Field(
        default=14.0, description="Ended tasks move to the archive after so long."
    )
    archived_days: Accounted = Field(
        default=365.0, description="Archived tasks are removed after so long, with their attempts; 2 or more."
    )
    archived_rows: Rows = Field(default=1_000_000, description="Archived tasks at most.")
    attempts_days: Accounted = Field(
        default=180.0,
        description="Ended attempts, except the latest of a task that is not archived and what its budget "
        "counts; 2 or more.",
    )
    messages_days: Days = Field(default=30.0, description="What agents said, since the attempt ended.")
    messages_mb: Size = Field(default=4096.0, description="What agents said, all of it; MiB.")
    events_days: Days = Field(default=30.0, description="Events.")
    events_rows: Rows = Field(default=1_000_000, description="Events at most.")
    audit_days: Days = Field(default=365.0, description="Entries of the audit: tokens made and revoked.")
    audit_rows: Rows = Field(default=1_000_000, description="Entries of the audit at most.")
    tokens_days: Days = Field(default=30.0, description="Tokens, since they were revoked or ran out.")
    revisions_days: Days = Field(
        default=365.0, description="Earlier revisions of profiles; the last good one of each stays."
    )
    revisions_kept: Rows = Field(default=100, description="Revisions of one profile at most.")
    scratch_days: Days = Field(
        default=2.0, description="Files of attempts except transcripts, on this host, since the task ended."
    )
    transcripts_days: Days = Field(default=30.0, description="Transcripts of sessions, since the task ended.")
    transcripts_mb: Size = Field(
        default=4096.0, description="Directories of attempts at ended tasks, all of them; MiB."
    )
    checkouts_days: Days = Field(
        default=14.0, description="Checkouts and worktrees of tasks, since the task ended."
    )
    checkouts_mb: Size = Field(
        default=20_480.0, description="Checkouts and worktrees of ended tasks, all of them; MiB."
    )


class LogSettings(Section):
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is shown."
    )
    file_bytes: Annotated[int, Field(ge=0)] = Field(
        default=32 * 1024 * 1024,
        description="Size at which `orchestrator.log` becomes `orchestrator.log.1`; 0: never.",
    )


class Settings(BaseSettings):
    """Everything that can be set. Built by `load`, which knows the sources."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="ORCHESTRATOR_",
        env_nested_delimiter="__",
        validate_default=True,
    )

    home: Path = Field(description="Directory of all state; from ORCHESTRATOR_HOME, or XDG_STATE_HOME.")
    secrets_dir: Path | None = Field(
        default=None, description="Directory with one file per secret; also CREDENTIALS_DIRECTORY of systemd."
    )
    agent_profiles: Secret[Any] | None = Field(
        default=None, description="Profiles of an older configuration; each is moved into the vault once."
    )
    database: DatabaseSettings = DatabaseSettings()
    vault: VaultSettings = VaultSettings()
    worker: WorkerSettings = WorkerSettings()
    claude: ClaudeSettings = ClaudeSettings()
    policy: PolicySettings = PolicySettings()
    install: InstallSettings = InstallSettings()
    api: ApiSettings = ApiSettings()
    retention: RetentionSettings = RetentionSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` hands over: it asks each source itself, to know which one a value came from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @property
    def database_url(self) -> str:
        if self.database.url is not None:
            return self.database.url.get_secret_value()
        return f"sqlite:///{self.home / 'orchestrator.db'}"

    @property
    def vault_path(self) -> Path:
        return self.vault.path or self.home / "vault"
