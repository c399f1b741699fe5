"""The attempts a worker has at work, and those that have ended and are not yet recorded."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from orchestrator.domain.ending import Ending
from orchestrator.domain.outcome import Cancelled, Interrupted
from orchestrator.domain.task import Claim
from orchestrator.worker.leash import Leash, Wish

Key = tuple[str, int]
"""A task and the number of an attempt at it."""


def key_of(claim: Claim) -> Key:
    return claim.task.id, claim.attempt


@dataclass(kw_only=True, slots=True)
class Attempting:
    """An attempt at work: its slot, its leash, and the task of the event loop that is its body."""

    claim: Claim
    slot: int
    leash: Leash = field(default_factory=Leash)
    body: "asyncio.Task[None] | None" = None


class Attempts:
    """Changed only by the event loop of the worker."""

    def __init__(self, slots: int) -> None:
        self._free = set(range(slots))
        self._free_in_order: tuple[int, ...] | None = None
        """Sorted when asked for: of a thousand, that takes as long as the rest of a brief turn."""
        self._at_work: dict[Key, Attempting] = {}
        self._finished: list[Ending] = []

    @property
    def free(self) -> tuple[int, ...]:
        """In their order."""
        if self._free_in_order is None:
            self._free_in_order = tuple(sorted(self._free))
        return self._free_in_order

    @property
    def any_finished(self) -> bool:
        return bool(self._finished)

    @property
    def any_at_work(self) -> bool:
        return bool(self._at_work)

    def start(self, claim: Claim, slot: int) -> Attempting:
        attempting = Attempting(claim=claim, slot=slot)
        self._at_work[key_of(claim)] = attempting
        self._free.discard(slot)
        self._free_in_order = None
        return attempting

    def finish(self, attempting: Attempting, ending: Ending | None) -> None:
        """Its slot is free; without an ending, nothing of it is ever recorded."""
        del self._at_work[key_of(attempting.claim)]
        self._free.add(attempting.slot)
        self._free_in_order = None
        if ending is not None:
            self._finished.append(ending)

    def take_finished(self) -> tuple[Ending, ...]:
        taken, self._finished = tuple(self._finished), []
        return taken

    def give_back(self, endings: Iterable[Ending]) -> None:
        """They could not be recorded; they are still to be."""
        self._finished[:0] = endings

    def claims(self) -> list[Claim]:
        """All claims whose leases must be kept: at work, or ended and not recorded."""
        return [one.claim for one in self._at_work.values()] + [one.claim for one in self._finished]

    def lose(self, key: Key) -> bool:
        """The task is another's now: end the body at once, and record nothing."""
        self._finished = [one for one in self._finished if key_of(one.claim) != key]
        attempting = self._at_work.get(key)
        if attempting is None or attempting.leash.lost:
            return False
        attempting.leash.lost = True
        if attempting.body is not None:
            attempting.body.cancel()
        return True

    def ask(self, key: Key, outcome: Wish) -> None:
        if (attempting := self._at_work.get(key)) is not None:
            attempting.leash.ask(outcome)

    def ask_all(self, outcome: Interrupted | Cancelled) -> None:
        for attempting in self._at_work.values():
            attempting.leash.ask(outcome)

    def end_all(self, outcome: Interrupted) -> None:
        """End every body now; each is recorded with this outcome, or the one that was asked for before."""
        for attempting in self._at_work.values():
            attempting.leash.ask(outcome)
            if attempting.body is not None:
                attempting.body.cancel()
