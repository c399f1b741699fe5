"""A turn in two statements, for a worker that was idle: look, and claim, with nothing held in between."""

from dataclasses import replace

from orchestrator.domain import fairness
from orchestrator.store import queue, waiting
from orchestrator.store.database import Database, Transaction
from orchestrator.worker.admission import admissible
from orchestrator.worker.basis import (
    Clock,
    Counsel,
    Order,
    Turned,
    facts_of,
    most_of,
    place_of,
    snapshot_of,
    waiting_of,
)
from orchestrator.worker.turn import turn

IN_HAND_SECONDS = 0.1
"""Until tasks are looked at again that another worker had in hand; nobody is told of those it leaves."""


async def take_turn(database: Database, order: Order, counsel: Counsel) -> Turned:
    """With as few round trips as will do: they are most of what a worker takes to wake up."""
    if database.dialect == "postgresql" and not order.endings:
        brief = await database.apart(brief_turn, order, counsel)
        if brief is not None:
            return brief
        turned = await database.run(turn, order, counsel)
        again = turned.at + IN_HAND_SECONDS
        return turned if turned.seen else replace(turned, due=min(turned.due or again, again))
    return await database.run(turn, order, counsel)


def brief_turn(tx: Transaction, order: Order, counsel: Counsel, clock: Clock | None = None) -> Turned | None:
    """What `turn` would come to, each statement apart; `None`, and nothing done, where that takes more: where
    something is to be recorded, woken, put aside or counted until the claim is made, or where another worker
    was faster. The claim itself re-checks that a task is still to be had."""
    if order.endings or order.heard or not order.slots:
        return None
    looked = waiting.look(tx, most=most_of(order), labels=order.labels, clock=clock, locking=False)
    now, limits = looked.at, looked.limits
    if looked.due is not None and looked.due <= now:
        return None
    rules = counsel.rules(tx, now, order.heard, looked.rules)
    seen, backoffs = len(looked.candidates), rules.backoffs
    turned = Turned(at=now, recorded=(), claims=(), seen=seen, due=looked.due, backoffs=backoffs)
    if not looked.candidates:
        return turned
    if rules.limits or any(one.exclusive or one.budgeted for one in limits.values()):
        return None
    verdicts = counsel.judge(tx, looked.candidates, now, looked.rules)
    facts = facts_of(tx, order, verdicts, rules, limits, now)
    admitted, holds = admissible(looked.candidates, facts)
    if holds or counsel.elsewhere(tx, admitted, facts) or any(task.by_agent for task in admitted):
        return None
    snapshot = snapshot_of(order, looked, {}, {}, waiting=waiting_of(admitted, {}))
    slot_of = dict(fairness.schedule(snapshot))
    claims = queue.claim(
        tx,
        list(slot_of),
        worker=order.worker,
        now=now,
        lease_seconds=order.lease_seconds,
        places={task.id: place_of(task, facts, order.host) for task in admitted if task.id in slot_of},
        kept=False,
    )
    if slot_of and not claims:
        return None
    return replace(turned, claims=tuple((claim, slot_of[claim.task.id]) for claim in claims))
