"""One turn of the queue, in one transaction: settle what has finished, decide, claim what fits."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from orchestrator.domain import limit
from orchestrator.domain.budget import Spent
from orchestrator.domain.ending import Ending
from orchestrator.domain.fairness import Use
from orchestrator.store import limits as stored_limits
from orchestrator.store import outbox, queue, settling, waiting
from orchestrator.store.database import Transaction
from orchestrator.store.load import Limits
from orchestrator.store.waiting import Looked
from orchestrator.worker.basis import Clock, Counsel, Order, Turned, facts_of, most_of, snapshot_of
from orchestrator.worker.dealing import Dealer
from orchestrator.worker.recently import plus
from orchestrator.worker.standing import Rules


def turn(tx: Transaction, order: Order, counsel: Counsel, clock: Clock | None = None) -> Turned:
    """Read, decide, write. Whatever changes meanwhile, the claim itself re-checks."""
    recorded: tuple[Ending, ...] = ()
    if order.endings or not order.slots:
        now = (clock or queue.clock)(tx)
        recorded = tuple(settling.settle(tx, order.endings, worker=order.worker, now=now))
        if not order.slots:
            rules = counsel.rules(tx, now, order.heard, None)
            return Turned(at=now, recorded=recorded, claims=(), backoffs=rules.backoffs)
        # What they took counts for what is claimed next.
        ended = plus(order.recent, recorded, at=now, lease_seconds=order.lease_seconds)
        order = replace(order, recent=ended)
    looked = _look(tx, order, clock)
    now, candidates, limits = looked.at, looked.candidates, looked.limits
    rules = counsel.rules(tx, now, order.heard, looked.rules)
    turned = Turned(
        at=now,
        recorded=recorded,
        claims=(),
        seen=len(candidates),
        due=looked.due,
        backoffs=rules.backoffs,
        rules=looked.rules,
    )
    if not candidates:
        return turned
    spent = counsel.spent(tx, now) if _budgeted(rules, limits) else {}
    facts = facts_of(tx, order, counsel.judge(tx, candidates, now, looked.rules), rules, limits, now)
    facts = replace(facts, rules=looked.rules, spent=_all_spent(rules, spent))
    rooms = _rooms(tx, rules) if rules.bounded else {}
    snapshot = snapshot_of(order, looked, spent, rooms)
    decided = Dealer(tx, order, counsel).decide(candidates, facts, snapshot)
    # By now a lock may have been waited for: what starts must not seem to begin before what made room.
    may_have_waited = rules.bounded or any(one.exclusive for one in limits.values())
    slot_of = dict(decided.picks)
    claims = queue.claim(
        tx,
        list(slot_of),
        worker=order.worker,
        now=(clock or queue.clock)(tx) if may_have_waited else now,
        lease_seconds=order.lease_seconds,
        places=decided.places,
        kept=order.keeping,
    )
    taken = tuple((claim, slot_of[claim.task.id]) for claim in claims)
    held = decided.held + len(slot_of) - len(taken)
    return replace(turned, claims=taken, held=held, places=decided.places)


def _look(tx: Transaction, order: Order, clock: Clock | None) -> Looked:
    """What there is to decide from, once what is due by now has been woken."""
    look = partial(
        waiting.look, tx, most=most_of(order), labels=order.labels, clock=clock, keeping=order.keeping
    )
    looked = look()
    if looked.due is None or looked.due > looked.at:
        return looked
    queue.wake_due(tx, now=looked.at)
    if not order.keeping:  # what was woken may be for the others, who found it waiting still
        outbox.mark_changed(tx)
    return look()


def _budgeted(rules: Rules, limits: Mapping[str, Limits]) -> bool:
    """Whether there is anything to count for."""
    return any(one.budgeted for one in rules.limits) or any(one.budgeted for one in limits.values())


def _all_spent(rules: Rules, spent: Mapping[str, Spent]) -> bool:
    """Whether the daily budget of all projects together is."""
    whole = sum(spent.values(), Spent())
    return any(
        (one.budget_usd_per_day is not None and whole.usd >= one.budget_usd_per_day)
        or (one.budget_tokens_per_day is not None and whole.tokens >= one.budget_tokens_per_day)
        for one in rules.limits
    )


def _rooms(tx: Transaction, rules: Rules) -> dict[Use, int]:
    stored_limits.lock(tx)
    return limit.rooms(rules.limits, limit.count(stored_limits.running(tx)))
