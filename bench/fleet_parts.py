"""What a simulated fleet is made of: its plan, its projects, its hosts, and what was seen of it."""

from collections import Counter, deque
from dataclasses import dataclass, field

from orchestrator.domain import outcome
from orchestrator.domain.budget import Spent
from orchestrator.domain.candidate import Candidate
from orchestrator.store.load import Limits, Recent, Running
from orchestrator.worker.admission import Backoff, Verdict

LEASE = 30.0
RESCUE_EVERY = 5.0
LOOK_EVERY = 5.0
"""Seconds between two looks at what every project had lately, as `worker.recently` has it."""

WINDOW = 3600.0
DAY = 86400.0
DOLLARS_PER_SECOND = 1 / 600
MEASURED = 32
"""Of so many turns one is looked at for fairness: looking costs more than taking it."""

WEIGHTS = (0.5, 1.0, 1.0, 2.0, 4.0)
"""Of projects, drawn at random."""

LARGE, SMALL = "large", "small"
"""The models, of which every project has one."""

REVIEWER = "reviewer"
"""The profile that a quarter of all tasks name; it runs on the small model, whatever its project has."""

ENDINGS = {
    "completed": 850,
    "crashed": 50,
    "overloaded": 30,
    "asked": 20,
    "rate_limited": 1,
    "interrupted": 29,
    "model_refused": 20,
}
"""How attempts end, in parts of a thousand."""

ASLEEP = 1 / 3
"""Of hosts that fall silent, those that come back with what they ran."""

LONGEST = 600.0
"""Seconds an attempt takes at most."""

Entry = tuple[int, float, str, Candidate]
"""A waiting task by its place in the queue of its project: priority, age and id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How large a fleet, and how rough a day."""

    seed: int = 1
    projects: int = 1000
    tasks: int = 1_000_000
    hosts: int = 500
    slots: int = 8
    deaths_per_host_hour: float = 0.25
    per_project: int = 1
    mean_seconds: float = 60.0
    pace: float = 2.0
    """Seconds between two turns of a host: what ends in between shares one."""


@dataclass(slots=True)
class Tenant:
    """A project, and what of it waits, runs and has ended lately."""

    limits: Limits
    harness: str
    model: str
    waiting: list[Entry] = field(default_factory=list)
    """In the order they are taken."""
    running: dict[str, float] = field(default_factory=dict)
    """Task to the time it was claimed."""
    started: float = 0.0
    """The sum of those times."""
    ended: deque[tuple[float, float]] = field(default_factory=deque)
    """When attempts of the window ended, and what they took."""
    seconds: float = 0.0
    spent: dict[int, float] = field(default_factory=dict)
    """Dollars by day."""

    @property
    def id(self) -> str:
        return self.limits.project_id

    @property
    def verdicts(self) -> dict[tuple[str, str | None], Verdict]:
        return {
            (self.id, None): Verdict(harness=self.harness, profile_id="builder", model=self.model),
            (self.id, REVIEWER): Verdict(harness=self.harness, profile_id=REVIEWER, model=SMALL),
        }

    @property
    def has_room(self) -> bool:
        return self.limits.max_concurrent is None or len(self.running) < self.limits.max_concurrent

    def running_at(self, now: float) -> Running | None:
        count = len(self.running)
        return Running(count=count, seconds=count * now - self.started) if count else None

    def recent_at(self, now: float) -> Recent:
        while self.ended and self.ended[0][0] <= now - WINDOW:
            self.seconds -= self.ended.popleft()[1]
        return Recent(finished=len(self.ended), seconds=max(self.seconds, 0.0))

    def spent_at(self, now: float) -> Spent:
        return Spent(usd=self.spent.get(int(now // DAY), 0.0))

    def pay(self, usd: float, now: float) -> bool:
        """Whether this is what it had left of the day."""
        day, budget = int(now // DAY), self.limits.budget_usd_per_day
        before = self.spent.get(day, 0.0)
        self.spent[day] = before + usd
        return budget is not None and before < budget <= before + usd


@dataclass(slots=True)
class Host:
    id: str
    free: list[int]
    running: dict[tuple[str, int], int] = field(default_factory=dict)
    """Task and attempt to their slot."""
    finished: list[tuple[str, int, outcome.Outcome, float]] = field(default_factory=list)
    alive: bool = True
    """Whether it takes turns and keeps its leases."""
    lives: int = 0
    turn_due: bool = False
    backoffs: dict[str, Backoff] = field(default_factory=dict)


@dataclass(slots=True)
class Seen:
    """What the run came to."""

    picks: int = 0
    turns: int = 0
    looked_at: int = 0
    """Candidates that went through admission, in all turns together."""
    measured: int = 0
    """Turns that were looked at for fairness."""
    deaths: int = 0
    sleeps: int = 0
    """How often a host was silent for a while and then went on, its tasks perhaps another's by then."""
    rescued: int = 0
    stale: int = 0
    """Endings that came after the lease was lost, and changed nothing."""
    over_limit: int = 0
    over_shared_limit: int = 0
    over_budget: int = 0
    over_shared_budget: int = 0
    limits_reached: Counter[str] = field(default_factory=Counter)
    """How many turns found no room under a limit that all projects share."""
    shared_budget_spent: int = 0
    """How many turns found nothing left of the budget of all projects together."""
    budgets_spent: int = 0
    """How often a project had nothing left of its day."""
    ended_twice: int = 0
    states: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    furthest_ahead: float = 0.0
    """Slot seconds that a chosen project had beyond its share, beside the worst off that could start, as far
    as hosts could know of them."""
    furthest_unseen: float = 0.0
    """The same with what had ended since the last look."""
    allowed_ahead: float = 0.0
    """One round: the longest attempt of the lightest project, as it weighs beside the heaviest."""
    virtual_seconds: float = 0.0
    digest: str = ""
