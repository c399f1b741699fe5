"""Everything that decides how Claude Code is launched, and the defaults of this harness."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from orchestrator.domain.modes import DEFAULT_HARNESS
from orchestrator.domain.profile import MERGED_FIELDS, SYSTEM_DEFAULT, UNLIMITED, EffectiveProfile
from orchestrator.harness.process import Limits

HARNESS: Final = DEFAULT_HARNESS

CREDENTIALS: Final = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_BEARER_TOKEN_BEDROCK",
)
"""Names under which credentials are looked up among the secrets of an attempt, and handed to the process."""

CLAUDE_DEFAULTS: Final = EffectiveProfile(
    profile_id=SYSTEM_DEFAULT,
    harness=HARNESS,
    model="claude-sonnet-5-5",
    permission_mode="dontAsk",
    allowed_tools=("Read", "Grep", "Glob", "Edit", "Write", "Bash"),
    denied_tools=(),
    mcp_servers=(),
    system_prompt_suffix="",
    max_tokens_per_task=UNLIMITED,
    max_turns=200,
    max_budget_usd=10.0,
    timeout_seconds=3600.0,
    settings={},
    origins=dict.fromkeys(MERGED_FIELDS, f"default of {HARNESS}"),
)
"""What an agent is and may do where nobody says otherwise: ordinary coding work in its checkout, nothing of
the network but what a shell command reaches, and limits that stop a runaway."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timers:
    """Our own clocks, in seconds awake: the command line can hang for an hour by itself."""

    start: float = 60.0
    """From the spawn to `init`. MCP servers are waited for in this time."""
    stall: float = 900.0
    """Without a line on stdout. A long shell command is silent too, so this is generous."""
    drain: float = 10.0
    """From the result to the end of the process."""
    retry: float = 120.0
    """A retry that would wait longer than this ends the attempt as rate limited; the worker waits better."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaudeAdapterConfig:
    """How one attempt is launched. `effective` is the record that the preview prints and the attempt keeps:
    model, permission mode, tools, servers and limits are read from it and from nowhere else.

    A profile replaces `effective`; the rest is the operator's.
    """

    effective: EffectiveProfile = CLAUDE_DEFAULTS
    timers: Timers = Timers()
    cli_path: str | None = None
    """The executable; `None` looks on PATH, then in the optional extra."""
    base_url: str | None = None
    """Where the Messages API is; `None` is the command line's own default."""
    credentials: tuple[str, ...] = CREDENTIALS
    """Names in `TaskContext.secrets` that become variables of the process, those that are there."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """More variables, of the operator, such as CLAUDE_CODE_USE_BEDROCK; wins over what we would set."""
    pass_environment: tuple[str, ...] = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE")
    """Names that are passed on from the worker's own environment."""
    added_directories: tuple[str, ...] = ()
    """Directories beside the checkout that the path tools may reach, absolute."""
    max_retries: int = 3
    """Tries of one API request that failed, before the command line gives up."""
    api_timeout_seconds: float = 600.0
    """Until the headers of an answer."""
    limits: Limits = field(default_factory=Limits)
    """Of the agent's processes."""
    sandboxed: bool = False
    """The operator says that the worker runs its agents inside a sandbox."""
    allow_bypass: bool = False
    """The operator's policy permits `bypassPermissions`; it needs a sandbox as well."""
    rehearsal: bool = False
    """Answers come from a script on loopback; recorded with everything that comes of it."""
