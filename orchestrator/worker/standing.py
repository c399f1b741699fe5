"""Limits and providers to be left alone, as the database has them: looked at often, and rarely changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.domain.limit import Limit
from orchestrator.domain.provider import Backoff
from orchestrator.store import backoffs, limits
from orchestrator.store.database import Transaction

REMEMBERED_SECONDS = 1.0
"""How long another host's change may go unnoticed; a turn of a busy queue takes a thousandth of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What holds for every claim of this moment."""

    limits: tuple[Limit, ...] = ()
    backoffs: Mapping[str, Backoff] = field(default_factory=dict)
    """By provider."""

    @property
    def bounded(self) -> bool:
        """Whether anything limits how much runs at once over all hosts."""
        return any(one.max_concurrent is not None for one in self.limits)


class Standing:
    """Asked within the transaction of each turn."""

    def __init__(self) -> None:
        self._known = Rules()
        self._since = 0.0

    def rules(self, tx: Transaction, now: float, heard: Mapping[str, Backoff | None]) -> Rules:
        """Stores what was `heard` of providers, and says what holds then."""
        backoffs.store(tx, heard)
        if heard or not self._since <= now < self._since + REMEMBERED_SECONDS:
            self._known = Rules(
                limits=tuple(limits.list_limits(tx)),
                backoffs=backoffs.current(tx, now=now),
            )
            self._since = now
        return self._known
