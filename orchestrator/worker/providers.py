"""Providers to be left alone for a while, from what they told the attempts of this worker and of others."""

from collections.abc import Mapping

from orchestrator.domain.outcome import AuthenticationFailed, Completed, Outcome, RateLimited
from orchestrator.domain.provider import Backoff, provider_of
from orchestrator.domain.task import Settlement


class Providers:
    """One refusal speaks for every task of the same harness: what is not started need not be put off.

    A rate limit concerns every host that shows the same credential, so it is `pending` until it is stored.
    Refused credentials are this worker's own affair: another may have been started with better ones.
    """

    def __init__(self) -> None:
        self.named: dict[str, str] = {}
        """The provider that each harness reaches from here."""
        self.pending: dict[str, Backoff | None] = {}
        """To be told to the others: by provider, `None` for one that answers again."""
        self._own: dict[str, Backoff] = {}
        self._shared: dict[str, Backoff] = {}

    def know(self, harness: str, credentials: Mapping[str, str]) -> None:
        """With which credentials the harness is started here."""
        self.named[harness] = provider_of(harness, credentials)

    def heard(self, harness: str, outcome: Outcome, settlement: Settlement) -> None:
        """Take notice of how an attempt ended. A success shows that nothing stands in the way any more."""
        provider = self.named.setdefault(harness, provider_of(harness, {}))
        match outcome:
            case RateLimited() if settlement.run_at is not None:
                backoff = Backoff(reason=outcome.kind, message=settlement.message, until=settlement.run_at)
                known = self.pending.get(provider) or self._shared.get(provider)
                if known is None or known.until < backoff.until:
                    self.pending[provider] = backoff
            case AuthenticationFailed() if settlement.hold_until is not None:
                self._own[harness] = Backoff(
                    reason="authentication", message=settlement.message, until=settlement.hold_until
                )
            case Completed():
                self._own.pop(harness, None)
                if self.pending.get(provider) or provider in self._shared:
                    self.pending[provider] = None
            case _:
                pass

    def now(self, now: float) -> Mapping[str, Backoff]:
        """What still holds as far as this worker alone knows, by harness; what is stored is not in it."""
        self._own = {name: one for name, one in self._own.items() if one.until > now}
        pending = {
            harness: one
            for harness, provider in self.named.items()
            if (one := self.pending.get(provider)) is not None and one.until > now
        }
        return {**self._own, **pending}

    def stored(self, heard: Mapping[str, Backoff | None], shared: Mapping[str, Backoff]) -> None:
        """What was pending is known to all now; `shared` is all that is stored."""
        for provider, backoff in heard.items():
            if self.pending.get(provider) == backoff:
                self.pending.pop(provider, None)
        self._shared = dict(shared)

    @property
    def next_end(self) -> float | None:
        mine = set(self.named.values())
        shared = [one.until for provider, one in self._shared.items() if provider in mine]
        return min([*shared, *(one.until for one in self._own.values())], default=None)
