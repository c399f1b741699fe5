"""One turn of the queue, in one transaction: settle what has finished, decide, claim what fits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.domain import fairness
from orchestrator.domain.candidate import Candidate
from orchestrator.domain.ending import Ending
from orchestrator.domain.fairness import Share, Snapshot, Waiting
from orchestrator.domain.task import Claim
from orchestrator.store import load, queue, settling
from orchestrator.store.database import Transaction
from orchestrator.store.load import Limits, Recent, Running
from orchestrator.worker.admission import Backoff, Facts, Hold, Key, Verdict, admissible

Judge = Callable[[Transaction, Sequence[Candidate], float], Mapping[Key, Verdict]]
"""Resolves the profiles of candidates: a verdict for each project and profile among them."""

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
    backoffs: Mapping[str, Backoff]
    look_due: bool = True
    """Whether to look for tasks whose time has come: not in every turn of a busy queue."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turned:
    """What a turn came to, for the worker to carry out."""

    at: float
    recorded: tuple[Ending, ...]
    claims: tuple[tuple[Claim, int], ...]
    """Each with its slot, in the order they should start."""
    held: int = 0
    """Tasks that were put aside: others may come behind them, so another turn is worth it at once."""
    due: float | None = None
    """When something waiting becomes due; `None` when nothing waits, or nobody looked."""


def turn(tx: Transaction, order: Order, judge: Judge, clock: Clock = queue.clock) -> Turned:
    """Read, decide, write. Whatever changes meanwhile, the claim itself re-checks."""
    now = clock(tx)
    recorded = tuple(settling.settle(tx, order.endings, worker=order.worker, now=now))
    if not order.slots:
        return Turned(at=now, recorded=recorded, claims=())
    due = queue.wake_due(tx, now=now) if order.look_due else None
    waiting = queue.candidates(tx, most=max(order.per_project, len(order.slots)), labels=order.labels)
    if not waiting:
        return Turned(at=now, recorded=recorded, claims=(), due=due)
    limits = load.limits(tx, {task.project_id for task in waiting})
    admitted, holds = admissible(waiting, _facts(tx, order, judge, waiting, limits, now))
    stored = [_stored(hold) for hold in holds if hold.until is not None]
    queue.hold(tx, [one for one in stored if one is not None], now=now)
    picks = fairness.schedule(_snapshot(tx, order, admitted, limits, now))
    slot_of = dict(picks)
    claims = queue.claim(
        tx,
        [task_id for task_id, _ in picks],
        worker=order.worker,
        # By now a lock may have been waited for: what starts must not seem to begin before what made room.
        now=clock(tx) if any(one.exclusive for one in limits.values()) else now,
        lease_seconds=order.lease_seconds,
    )
    return Turned(
        at=now,
        recorded=recorded,
        claims=tuple((claim, slot_of[claim.task.id]) for claim in claims),
        held=len(stored),
        due=due,
    )


def _facts(
    tx: Transaction,
    order: Order,
    judge: Judge,
    waiting: Sequence[Candidate],
    limits: Mapping[str, Limits],
    now: float,
) -> Facts:
    directories = {one.project_id: one.directory for one in limits.values() if one.directory is not None}
    return Facts(
        now=now,
        verdicts=judge(tx, waiting, now),
        harnesses=order.harnesses,
        lacking={
            one.project_id: missing
            for one in limits.values()
            if (missing := [label for label in one.requires if label not in order.labels])
        },
        directories=directories,
        busy=load.busy_directories(tx) if directories else frozenset(),
        backoffs=order.backoffs,
        recheck_seconds=order.recheck_seconds,
    )


def _stored(hold: Hold) -> queue.Held | None:
    if hold.until is None:
        return None
    return queue.Held(task_id=hold.task_id, reason=hold.reason, message=hold.message, until=hold.until)


def _snapshot(
    tx: Transaction,
    order: Order,
    admitted: Sequence[Candidate],
    limits: Mapping[str, Limits],
    now: float,
) -> Snapshot:
    running = load.running(tx, now=now)
    return Snapshot(
        waiting=tuple(
            Waiting(
                id=task.id, project_id=task.project_id, priority=task.priority, created_at=task.created_at
            )
            for task in admitted
        ),
        shares={
            project: share(one, running.get(project), order.recent.get(project, Recent()))
            for project, one in limits.items()
        },
        slots=order.slots,
    )


def share(limits: Limits, running: Running | None, recent: Recent) -> Share:
    """A project's share from what it may have, has now and had lately."""
    budget = limits.budget_usd_per_day
    charge = recent.seconds / recent.finished if recent.finished else USUAL_SECONDS
    return Share(
        project_id=limits.project_id,
        weight=limits.weight,
        used_seconds=recent.seconds + (max(running.seconds, running.count * charge) if running else 0.0),
        charge_seconds=charge,
        finished=recent.finished,
        running=running.count if running else 0,
        max_concurrent=limits.max_concurrent,
        budget_left=None if budget is None else budget - recent.spent_today,
    )
