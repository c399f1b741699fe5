"""How a worker takes its turns: by one question where the queue was empty, else by a whole one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from orchestrator.domain.limit import Place
from orchestrator.domain.provider import Backoff
from orchestrator.store import lone, waiting
from orchestrator.store.database import Database, Transaction
from orchestrator.store.lone import Found, Question
from orchestrator.store.wake import Listener
from orchestrator.worker.admission import Key
from orchestrator.worker.basis import Counsel, Order, Turned, most_of
from orchestrator.worker.turn import turn

IN_HAND_SECONDS: Final = 0.1
"""Until tasks are looked at again that another worker had in hand; nobody is told of those it leaves."""
PRECEDENTS: Final = 32
"""How many are remembered: each is sent with every question."""


class Turns:
    """With as few round trips as will do: they are most of what a worker takes to wake up. Remembers what
    whole turns said, for as long as the rules are the same."""

    def __init__(self, database: Database, counsel: Counsel) -> None:
        self._database = database
        self._counsel = counsel
        self._rules = -1
        self._backoffs: Mapping[str, Backoff] = {}
        self._precedents: dict[Key, Place] = {}

    async def take(self, order: Order, listener: Listener) -> Turned:
        """Raises what `Database.run` does."""
        turned = await self._take(order, listener)
        self._learn(turned)
        return turned

    async def _take(self, order: Order, listener: Listener) -> Turned:
        if order.endings or order.heard or not order.slots:
            return await self._database.run(turn, order, self._counsel)
        if self._database.dialect == "sqlite":
            return await self._database.run(self._lone_or_whole, order)
        found = await lone.claim_lone(listener, self._question(order))
        if found is not None and (brief := self._brief(found, order)) is not None:
            return brief
        turned = await self._database.run(turn, order, self._counsel)
        came_to_nothing = found is not None and not turned.claims and not turned.held
        return await self._again_if_in_hand(turned, order) if came_to_nothing else turned

    def _lone_or_whole(self, tx: Transaction, order: Order) -> Turned:
        brief = self._brief(lone.claim_here(tx, self._question(order)), order)
        return turn(tx, order, self._counsel) if brief is None else brief

    def _question(self, order: Order) -> Question:
        """What only this worker knows of keeps it from going by precedents."""
        alone = order.backoffs or not order.keeping
        return Question(
            worker=order.worker,
            lease_seconds=order.lease_seconds,
            labelled=bool(order.labels),
            rules=self._rules,
            precedents={} if alone else self._precedents,
        )

    def _learn(self, turned: Turned) -> None:
        if turned.rules is None:
            return
        if turned.rules != self._rules:
            self._rules, self._precedents = turned.rules, {}
        self._backoffs = turned.backoffs
        for claim, _slot in turned.claims:
            self._remember((claim.task.project_id, claim.task.profile_id), turned.places[claim.task.id])

    def _remember(self, key: Key, place: Place) -> None:
        self._precedents.pop(key, None)  # the last one taken is the last to be forgotten
        self._precedents[key] = place
        while len(self._precedents) > PRECEDENTS:
            del self._precedents[next(iter(self._precedents))]

    def _brief(self, found: Found, order: Order) -> Turned | None:
        """`None` where more is to be weighed."""
        turned = Turned(
            at=found.at,
            recorded=(),
            claims=(),
            due=found.due,
            backoffs={name: one for name, one in self._backoffs.items() if one.until > found.at},
            rules=found.rules,
        )
        if (claim := found.claim) is not None:
            place = self._precedents[claim.task.project_id, claim.task.profile_id]
            return replace(turned, claims=((claim, order.slots[0]),), seen=1, places={claim.task.id: place})
        nothing = found.empty and found.rules == self._rules and not (found.demanding and order.labels)
        return turned if nothing else None

    async def _again_if_in_hand(self, turned: Turned, order: Order) -> Turned:
        most, labels = most_of(order), order.labels
        glance = await self._database.read(waiting.look, most=most, labels=labels, locking=False)
        if len(glance.candidates) <= turned.seen:
            return turned
        again = turned.at + IN_HAND_SECONDS
        return replace(turned, due=min(turned.due or again, again))
