"""What is known of an attempt once its agent has ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.domain.attempt import Usage
from orchestrator.domain.outcome import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """A call the agent wanted to make, and our answer. `reason` says which rule decided."""

    at: float
    tool: str
    granted: bool
    reason: str
    use_id: str | None = None
    """The agent's own id of the call, as in its `tool_use` message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """How the attempt ended and how it was held to its profile."""

    outcome: Outcome
    usage: Usage = field(default_factory=Usage)
    enforcement: Mapping[str, Any] = field(default_factory=dict)
    """How each layer held, ready for `Attempt.enforcement`: `absent` (what the agent was started with),
    `verified` (what it reported, compared) and `answered` (calls granted and denied)."""
    calls: tuple[ToolCall, ...] = ()
    session_id: str | None = None
    transcript: str | None = None
    """Path of the transcript, to resume from; `None` when the agent left none."""
    warnings: tuple[str, ...] = ()
    exit_code: int | None = None
    """Negative: the signal that ended it. `None`: never started."""
    cli_version: str | None = None
