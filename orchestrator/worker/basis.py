"""What a turn of the queue decides from, and what it comes to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.domain.budget import Spent
from orchestrator.domain.candidate import Candidate
from orchestrator.domain.ending import Ending
from orchestrator.domain.fairness import Share, Snapshot, Use, Waiting
from orchestrator.domain.limit import Place
from orchestrator.domain.provider import Backoff
from orchestrator.domain.task import Claim
from orchestrator.store import load
from orchestrator.store.database import Transaction
from orchestrator.store.load import Limits, Recent, Running
from orchestrator.store.waiting import Looked
from orchestrator.worker.admission import Facts, Hold, Key, Verdict
from orchestrator.worker.further import Further
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
    rules: int | None = None
    """Version of the rules it was decided by; `None` where nothing was to be decided."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """By task, as what it was claimed."""


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


def _shared(order: Order, rules: Rules) -> dict[str, Backoff]:
    """What every host leaves alone, by the harness that reaches it from here."""
    reached = {harness: rules.backoffs.get(provider) for harness, provider in order.providers.items()}
    return {harness: backoff for harness, backoff in reached.items() if backoff is not None}


def place_of(task: Candidate, facts: Facts, host: str) -> Place:
    verdict = facts.verdicts[task.project_id, task.profile_id]
    return Place(host=host, profile_id=verdict.profile_id, model=verdict.model)


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
