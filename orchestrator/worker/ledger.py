"""What was spent today, exact at every claim, without counting the whole day each time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from orchestrator.domain.budget import Spent
from orchestrator.store import spending
from orchestrator.store.database import Transaction
from orchestrator.store.load import DAY

SETTLED_SECONDS: Final = {"sqlite": 5.0, "postgresql": 120.0}
"""After that, nobody records any more that an attempt ended by now. SQLite has one writer; where there are
more they take the time first and commit later, though never so much: a minute idle ends a transaction."""


@dataclass(slots=True)
class Ledger:
    """One for a worker. It remembers the sums of what nothing is added to any more, and reads the rest within
    the transaction of the turn, whatever is recorded in that one included."""

    _settled: dict[str, Spent] = field(default_factory=dict)
    _until: float = 0.0
    """Up to here the sums go, from midnight (UTC)."""

    def today(self, tx: Transaction, now: float) -> Mapping[str, Spent]:
        """By project, up to this moment. The first time of a day it reads a row for every attempt of that
        day, afterwards only those of the last minutes."""
        midnight = now - now % DAY
        if not midnight <= self._until <= now:
            self._settled, self._until = {}, midnight
        cut = max(now - SETTLED_SECONDS[tx.dialect.name], self._until)
        whole = dict(self._settled)
        for project, settled, spent in spending.lately(tx, since=self._until, cut=cut):
            whole[project] = whole.get(project, Spent()) + spent
            if settled:
                self._settled[project] = self._settled.get(project, Spent()) + spent
        self._until = cut
        return whole
