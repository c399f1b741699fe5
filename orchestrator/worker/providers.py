"""Providers to be left alone for a while, from what they told the attempts of this worker."""

from collections.abc import Mapping

from orchestrator.domain.outcome import AuthenticationFailed, Completed, Outcome, RateLimited
from orchestrator.domain.task import Settlement
from orchestrator.worker.admission import Backoff


class Providers:
    """One refusal speaks for every task of the same harness: what is not started need not be put off."""

    def __init__(self) -> None:
        self._backoffs: dict[str, Backoff] = {}

    def heard(self, harness: str, outcome: Outcome, settlement: Settlement) -> None:
        """Take notice of how an attempt ended. A success shows that nothing stands in the way any more."""
        match outcome:
            case RateLimited() if settlement.run_at is not None:
                self._leave_alone(harness, outcome.kind, settlement.message, settlement.run_at)
            case AuthenticationFailed() if settlement.hold_until is not None:
                self._leave_alone(harness, "authentication", settlement.message, settlement.hold_until)
            case Completed():
                self._backoffs.pop(harness, None)
            case _:
                pass

    def now(self, now: float) -> Mapping[str, Backoff]:
        """What still holds."""
        self._backoffs = {name: one for name, one in self._backoffs.items() if one.until > now}
        return dict(self._backoffs)

    @property
    def next_end(self) -> float | None:
        return min((one.until for one in self._backoffs.values()), default=None)

    def _leave_alone(self, harness: str, reason: str, message: str, until: float) -> None:
        known = self._backoffs.get(harness)
        if known is None or known.until < until:
            self._backoffs[harness] = Backoff(reason=reason, message=message, until=until)
