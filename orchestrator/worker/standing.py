"""Limits and providers to be left alone, as the database has them: looked at often, and rarely changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from orchestrator.domain.limit import Limit
from orchestrator.domain.provider import Backoff
from orchestrator.store import backoffs, limits
from orchestrator.store.database import Transaction

REMEMBERED_SECONDS = 60.0
"""How long a change may go unnoticed that was made without a word, past this program."""


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
    """Asked within the transaction of each turn; remembers until something changed."""

    def __init__(self) -> None:
        self._known = Rules()
        self._version: int | None = None
        self._since = 0.0

    def rules(
        self, tx: Transaction, now: float, heard: Mapping[str, Backoff | None], version: int | None
    ) -> Rules:
        """Stores what was `heard` of providers, and says what holds then. `version` is that of the rules as
        the turn found them, `None` when nothing will be decided by them."""
        backoffs.store(tx, heard)
        lasting = self._since <= now < self._since + REMEMBERED_SECONDS
        if heard or version not in (None, self._version) or not lasting:
            self._known = Rules(
                limits=tuple(limits.list_limits(tx)),
                backoffs=backoffs.current(tx, now=now),
            )
            self._version, self._since = version, now
        still = {name: one for name, one in self._known.backoffs.items() if one.until > now}
        return replace(self._known, backoffs=still)
