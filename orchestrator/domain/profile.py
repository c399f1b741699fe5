"""What an agent is and may do: as written (`AgentProfile`) and as it holds (`EffectiveProfile`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from orchestrator.domain.manifest import InstallManifest

SYSTEM_DEFAULT: Final = "__system__"
"""Id of the built-in profile that governs a task for which nobody chose one."""

ID_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,63}$"
"""Every id of a profile, project or server, at every edge, files found on disk included."""

UNLIMITED: Final = float("inf")
"""An effective limit that is not there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentProfile:
    """A profile or an overlay as its document says it.

    In the fields of `MERGED_FIELDS`, `None` means inherit and nothing else does; an empty tuple of
    tools or servers means none at all.
    """

    id: str
    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    install: InstallManifest = field(default_factory=InstallManifest)
    harness: str | None = None
    model: str | None = None
    permission_mode: str | None = None
    allowed_tools: tuple[str, ...] | None = None
    denied_tools: tuple[str, ...] | None = None
    mcp_servers: tuple[str, ...] | None = None
    optional_servers: tuple[str, ...] | None = None
    """Those of `mcp_servers` without which an attempt goes on; the list they stand in decides with them."""
    system_prompt_suffix: str | None = None
    max_tokens_per_task: int | None = None
    max_turns: int | None = None
    max_budget_usd: float | None = None
    timeout_seconds: float | None = None
    settings: Mapping[str, Any] | None = None


IDENTITY_FIELDS: Final = ("id", "name", "description", "tags", "install")
"""Fields that say which profile it is; an overlay never passes them on."""

MERGED_FIELDS: Final = tuple(f.name for f in fields(AgentProfile) if f.name not in IDENTITY_FIELDS)
"""Fields that the cascade merges, in the order people read them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EffectiveProfile:
    """Cascade, overlays and policy applied: every field set, and where each came from.

    `origins` has one entry for each of `MERGED_FIELDS`, such as "profile reviewer", "overlay of acme",
    "default of claude" or "clamped by instance". Limits are `UNLIMITED` where there is none. The same
    record is what the preview prints, what is launched and what the attempt keeps.
    """

    profile_id: str
    harness: str
    model: str
    permission_mode: str
    allowed_tools: tuple[str, ...]
    denied_tools: tuple[str, ...]
    mcp_servers: tuple[str, ...]
    optional_servers: tuple[str, ...] = ()
    system_prompt_suffix: str
    max_tokens_per_task: float
    max_turns: float
    max_budget_usd: float
    timeout_seconds: float
    settings: Mapping[str, Any]
    origins: Mapping[str, str]
