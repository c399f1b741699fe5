"""Everything that resolving one task's profile needs, read in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.domain.mcp import McpServer
from orchestrator.domain.profile import AgentProfile, EffectiveProfile


class Standing(StrEnum):
    """Whether those who govern profiles let this project use it."""

    USABLE = "usable"
    DISABLED = "profile_disabled"
    PENDING = "profile_pending"
    ARCHIVED = "profile_archived"
    UNBOUND = "profile_not_bound"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileEntry:
    """A profile or overlay as last seen.

    `profile` is the last good revision, `None` when there never was one. `present` says that its document is
    in the vault now, `valid` that it parses now (then `profile` is its content).
    """

    profile: AgentProfile | None
    present: bool = True
    valid: bool = True
    standing: Standing = Standing.USABLE
    error: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ceiling:
    """What the instance allows at most; applied after the cascade, and only ever tightens.
    `None` leaves a field as it is."""

    allowed_tools: tuple[str, ...] | None = None
    denied_tools: tuple[str, ...] = ()
    mcp_servers: tuple[str, ...] | None = None
    permission_modes: tuple[str, ...] | None = None
    max_turns: int | None = None
    max_tokens_per_task: int | None = None
    max_budget_usd: float | None = None
    timeout_seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalog:
    """The references of a task and its project, and what they may refer to.

    `overlays` are those of the task's project, by profile id. `system_servers` and `project_servers` are MCP
    servers by name. `defaults` has one complete profile per harness.
    """

    project_id: str
    task_profile_id: str | None
    binding_profile_id: str | None = None
    project_profile_id: str | None
    profiles: Mapping[str, ProfileEntry]
    overlays: Mapping[str, ProfileEntry] = field(default_factory=dict)
    system_servers: Mapping[str, McpServer] = field(default_factory=dict)
    project_servers: Mapping[str, McpServer] = field(default_factory=dict)
    defaults: Mapping[str, EffectiveProfile]
    ceiling: Ceiling = field(default_factory=Ceiling)
