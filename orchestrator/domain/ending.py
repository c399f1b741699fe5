"""A finished attempt, with everything the single write about it needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.domain.attempt import Usage
from orchestrator.domain.task import Claim, Settlement


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """What became of a claim. `session_id` is the session the attempt ran in, which the settlement may or may
    not want continued; `enforcement` says how each layer held."""

    claim: Claim
    settlement: Settlement
    usage: Usage = field(default_factory=Usage)
    enforcement: Mapping[str, Any] = field(default_factory=dict)
    session_id: str | None = None
    warnings: tuple[str, ...] = ()
    rehearsal: bool = False
    """Whether nothing was really spent; known once it is recorded."""
