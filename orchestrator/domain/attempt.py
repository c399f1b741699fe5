"""One try at a task: what it ran under, what it said, what it used."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What the agent's command line reported as used; money is its own estimate at list price."""

    cost_usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0
    turns: int = 0

    @property
    def counted_tokens(self) -> int:
        """What budgets of tokens go by: what was read from the cache does not count."""
        return self.input_tokens + self.output_tokens + self.cache_creation_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """What an attempt runs under, fixed before the agent starts.

    `effective` is `effective.as_json` of the effective profile: the very document the preview prints.
    """

    profile_id: str
    tier: str
    effective: Mapping[str, Any]
    servers: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    rehearsal: bool = False
    checkout: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentMessage:
    """One thing the agent said, in order. `kind` is `init`, `text`, `thinking`, `tool_use`, `tool_result`,
    `result`, `retry`, `system` or `unknown`; `body` holds the fields, unknown ones included."""

    sequence: int
    at: float
    kind: str
    body: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """An attempt as the database holds it."""

    task_id: str
    number: int
    worker: str
    started_at: float
    snapshot: Snapshot | None = None
    ended_at: float | None = None
    outcome: str | None = None
    message: str | None = None
    session_id: str | None = None
    enforcement: Mapping[str, Any] = field(default_factory=dict)
    """How each of the three layers held: absent, verified, answered."""
    usage: Usage = field(default_factory=Usage)
