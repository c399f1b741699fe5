"""One turn of the queue, in one transaction: settle what has finished, decide, claim what fits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from orchestrator.domain import fairness, limit
from orchestrator.domain.budget import Spent
from orchestrator.domain.candidate import Candidate
from orchestrator.domain.ending import Ending
from orchestrator.domain.fairness import Share, Snapshot, Use, Waiting
from orchestrator.domain.limit import Place
from orchestrator.domain.provider import Backoff
from orchestrator.domain.task import Claim
from orchestrator.store import limits as stored_limits
from orchestrator.store import load, outbox, queue, settling, waiting
from orchestrator.store.database import Transaction
from orchestrator.store.load import Limits, Recent, Running
from orchestrator.store.waiting import Looked
from orchestrator.worker.admission import Facts, Hold, Key, Verdict, admissible
from orchestrator.worker.further import ROUNDS, Dealt, Further, stuck
from orchestrator.worker.recently import plus
from orchestrator.worker.standing import Rules

Judge = Callable[[Transaction, Sequence[Candidate], float, int], Mapping[Key, Verdict]]
"""Resolves the profiles of candidates: a verdict for each project and profile among them."""

Elsewhere = Callable[[Transaction, Sequence[Candidate], Facts], Mapping[str, Hold]]
"""By task, why it does not start on this host, while others are there."""

Clock = Callable[[Transaction], float]
"""Now, in Unix seconds; that of the database, which all workers share, unless told otherwise."""

USUAL_SECONDS = 60.0
"""What an attempt is expected to take in a project of which none has ended lately."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What a worker brings to its turn."""

    worker: str
    slots: tuple[int, ...]
    """Its free slots; none while it drains."""
    endings: tuple[Ending, ...]
    lease_seconds: float
    recheck_seconds: float
    per_project: int
    recent: Mapping[str, Recent]
    harnesses: frozenset[str]
    labels: frozenset[str]
    host: str
    backoffs: Mapping[str, Backoff]
    """What this worker alone knows of, by harness."""
    providers: Mapping[str, str]
    """The provider that each harness reaches from here."""
    heard: Mapping[str, Backoff | None]
    """What the other hosts are to know of providers."""
    keeping: bool = True
    """Whether the others pass over its candidates until the turn is over. A host that leaves some to them
    lets them look: woken by the same change, they would not look again before their next poll."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turned:
    """What a turn came to, for the worker to carry out."""

    at: float
    recorded: tuple[Ending, ...]
    claims: tuple[tuple[Claim, int], ...]
    """Each with its slot, in the order they should start."""
    seen: int = 0
    """Tasks there were to decide from."""
    held: int = 0
    """Tasks that were put aside, or taken by another meanwhile: others may come behind them, so another turn
    is worth it at once."""
    due: float | None = None
    """When something waiting becomes due; `None` when nothing waits, or there was no slot to look for."""
    backoffs: Mapping[str, Backoff]
    """Providers that every host leaves alone now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counsel:
    """What a turn asks within its transaction, the first two remembered until something changed."""

    judge: Judge
    rules: Callable[[Transaction, float, Mapping[str, Backoff | None], int | None], Rules]
    spent: Callable[[Transaction, float], Mapping[str, Spent]]
    """What each project has spent today; not remembered but exact."""
    confined: Callable[[Transaction, Candidate], Verdict | None] = lambda _tx, _candidate: None
    """Why a task that an agent asked for may not start, though its profile may; asked of what is picked."""
    further: Further = field(default_factory=Further)
    elsewhere: Elsewhere = lambda _tx, _candidates, _facts: {}
    """Asks the database only while this host lacks something."""


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
    turned = Turned(at=now, recorded=recorded, claims=(), due=looked.due, backoffs=rules.backoffs)
    turned = replace(turned, seen=len(candidates))
    if not candidates:
        return turned
    spent = counsel.spent(tx, now) if _budgeted(rules, limits) else {}
    facts = facts_of(tx, order, counsel.judge(tx, candidates, now, looked.rules), rules, limits, now)
    facts = replace(facts, rules=looked.rules, spent=_all_spent(rules, spent))
    rooms = _rooms(tx, rules) if rules.bounded else {}
    snapshot = snapshot_of(order, looked, spent, rooms)
    decided = _decide(tx, order, counsel, candidates, facts, snapshot)
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
    )
    taken = tuple((claim, slot_of[claim.task.id]) for claim in claims)
    return replace(turned, claims=taken, held=decided.held + len(slot_of) - len(taken))


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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Decided:
    picks: tuple[tuple[str, int], ...]
    places: Mapping[str, Place]
    held: int


def _decide(
    tx: Transaction,
    order: Order,
    counsel: Counsel,
    candidates: Sequence[Candidate],
    facts: Facts,
    snapshot: Snapshot,
) -> _Decided:
    """Who starts in which slot. Where the first tasks of a project wait for room that others can do without,
    those behind them are asked, too."""
    most = most_of(order)
    dealt, held = _deal(tx, order, counsel, candidates, facts, snapshot)
    picks, places = dict(dealt.picks), dict(dealt.places)
    passing = stuck(dealt, host=order.host, most=most)
    for _ in range(ROUNDS):
        if not passing or not (found := counsel.further.candidates(tx, passing, most=most)):
            break
        taken = {facts.directories.get(task.project_id) for task in dealt.candidates if task.id in picks}
        busy = facts.busy.union(directory for directory in taken if directory is not None)
        facts = replace(facts, verdicts=counsel.judge(tx, found, facts.now, facts.rules), busy=busy)
        left = tuple(slot for slot in snapshot.slots if slot not in picks.values())
        dealt, more = _deal(
            tx, order, counsel, found, facts, replace(snapshot, rooms=dealt.rooms, slots=left)
        )
        held += more
        picks |= dealt.picks
        places |= dealt.places
        again = stuck(dealt, host=order.host, most=1)
        passing = {line: passing[line] | names for line, names in again.items()}
    return _Decided(picks=tuple(picks.items()), places=places, held=held)


def _deal(
    tx: Transaction,
    order: Order,
    counsel: Counsel,
    candidates: Sequence[Candidate],
    facts: Facts,
    snapshot: Snapshot,
) -> tuple[Dealt, int]:
    """Puts aside those that cannot start for reasons of their own; answers with how many, too."""
    facts = replace(facts, elsewhere=counsel.elsewhere(tx, candidates, facts))
    admitted, holds = admissible(candidates, facts)
    places = {task.id: place_of(task, facts, order.host) for task in admitted}
    waiting = waiting_of(admitted, places if snapshot.rooms else {})
    snapshot = replace(snapshot, waiting=waiting)
    picks = fairness.schedule(snapshot)
    confined = _confined(tx, counsel, candidates, picks, facts)
    held = {hold.task_id for hold in confined}
    picks = [pick for pick in picks if pick[0] not in held]
    stored = [_stored(hold) for hold in (*holds, *confined) if hold.until is not None]
    queue.hold(tx, [one for one in stored if one is not None], now=facts.now)
    dealt = Dealt(candidates=candidates, facts=facts, snapshot=snapshot, places=places, picks=picks)
    return dealt, len(stored)


def _confined(
    tx: Transaction,
    counsel: Counsel,
    candidates: Sequence[Candidate],
    picks: Sequence[tuple[str, int]],
    facts: Facts,
) -> list[Hold]:
    """What was picked and may not start, as nobody's agent may have more done than it could do."""
    picked = {task_id for task_id, _ in picks}
    asked = [(task, counsel.confined(tx, task)) for task in candidates if task.by_agent and task.id in picked]
    later = facts.now + facts.recheck_seconds
    return [
        Hold(task_id=task.id, reason=verdict.reason, message=verdict.message, until=later)
        for task, verdict in asked
        if verdict is not None and verdict.reason is not None
    ]


def most_of(order: Order) -> int:
    """Candidates of a project that are looked at."""
    return max(order.per_project, len(order.slots))


def facts_of(
    tx: Transaction,
    order: Order,
    verdicts: Mapping[Key, Verdict],
    rules: Rules,
    limits: Mapping[str, Limits],
    now: float,
) -> Facts:
    directories = {one.project_id: one.directory for one in limits.values() if one.directory is not None}
    return Facts(
        now=now,
        verdicts=verdicts,
        harnesses=order.harnesses,
        lacking={
            one.project_id: missing
            for one in limits.values()
            if (missing := [label for label in one.requires if label not in order.labels])
        },
        directories=directories,
        busy=load.busy_directories(tx) if directories else frozenset(),
        backoffs={**_shared(order, rules), **order.backoffs},
        recheck_seconds=order.recheck_seconds,
    )


def _budgeted(rules: Rules, limits: Mapping[str, Limits]) -> bool:
    """Whether there is anything to count for."""
    over_all = [(one.budget_usd_per_day, one.budget_tokens_per_day) for one in rules.limits]
    return any(budget != (None, None) for budget in over_all) or any(one.budgeted for one in limits.values())


def _all_spent(rules: Rules, spent: Mapping[str, Spent]) -> bool:
    """Whether the daily budget of all projects together is."""
    whole = sum(spent.values(), Spent())
    return any(
        (one.budget_usd_per_day is not None and whole.usd >= one.budget_usd_per_day)
        or (one.budget_tokens_per_day is not None and whole.tokens >= one.budget_tokens_per_day)
        for one in rules.limits
    )


def _shared(order: Order, rules: Rules) -> dict[str, Backoff]:
    """What every host leaves alone, by the harness that reaches it from here."""
    reached = {harness: rules.backoffs.get(provider) for harness, provider in order.providers.items()}
    return {harness: backoff for harness, backoff in reached.items() if backoff is not None}


def _stored(hold: Hold) -> queue.Held | None:
    if hold.until is None:
        return None
    return queue.Held(task_id=hold.task_id, reason=hold.reason, message=hold.message, until=hold.until)


def place_of(task: Candidate, facts: Facts, host: str) -> Place:
    verdict = facts.verdicts[task.project_id, task.profile_id]
    return Place(host=host, profile_id=verdict.profile_id, model=verdict.model)


def _rooms(tx: Transaction, rules: Rules) -> dict[Use, int]:
    stored_limits.lock(tx)
    return limit.rooms(rules.limits, limit.count(stored_limits.running(tx)))


def waiting_of(admitted: Sequence[Candidate], places: Mapping[str, Place]) -> tuple[Waiting, ...]:
    """`places` only where limits count by them."""
    return tuple(
        Waiting(
            id=task.id,
            project_id=task.project_id,
            priority=task.priority,
            created_at=task.created_at,
            uses=places[task.id].uses if places else (),
        )
        for task in admitted
    )


def snapshot_of(
    order: Order, looked: Looked, spent: Mapping[str, Spent], rooms: Mapping[Use, int]
) -> Snapshot:
    return Snapshot(
        waiting=(),
        rooms=rooms,
        shares={
            project: share(
                one,
                looked.running.get(project),
                order.recent.get(project, Recent()),
                spent.get(project, Spent()),
            )
            for project, one in looked.limits.items()
        },
        slots=order.slots,
    )


def share(limits: Limits, running: Running | None, recent: Recent, spent: Spent) -> Share:
    """A project's share from what it may have, has now, had lately and has spent today."""
    budget, tokens = limits.budget_usd_per_day, limits.budget_tokens_per_day
    charge = recent.seconds / recent.finished if recent.finished else USUAL_SECONDS
    return Share(
        project_id=limits.project_id,
        weight=limits.weight,
        used_seconds=recent.seconds + (max(running.seconds, running.count * charge) if running else 0.0),
        charge_seconds=charge,
        finished=recent.finished,
        running=running.count if running else 0,
        max_concurrent=limits.max_concurrent,
        budget_left=None if budget is None else budget - spent.usd,
        tokens_left=None if tokens is None else tokens - spent.tokens,
    )
