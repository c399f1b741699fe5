"""The books of a simulated fleet: what waits, runs and was had, as a turn would read it from the database.

Kept up to date as tasks come and go, since reading a thousand projects anew in each of a million turns would
be most of the work. What is decided from them is not: every turn hands all of it to admission and fairness.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping

from fleet_parts import DAY, DOLLARS_PER_SECOND, LOOK_EVERY, Entry, Tenant

from orchestrator.domain import limit
from orchestrator.domain.candidate import Candidate
from orchestrator.domain.fairness import Share, Use, Waiting
from orchestrator.domain.limit import Limit, Place
from orchestrator.domain.task import Task
from orchestrator.store.load import Recent
from orchestrator.worker.admission import Key, Verdict
from orchestrator.worker.basis import share

DEPTH = 4
"""So many tasks of each project are kept in one order with those of the others: few turns ask for more."""

ANYWHERE = "anywhere"
"""Stands for the host in what a task counts against: its slots are the only limit of a host here."""


class Books:
    """Of all projects; changes by `wait`, `start` and `stop` only."""

    def __init__(self, tenants: Iterable[Tenant], limits: Iterable[Limit]) -> None:
        self.tenants = {one.id: one for one in tenants}
        self.verdicts: dict[Key, Verdict] = {}
        for one in self.tenants.values():
            self.verdicts |= one.verdicts
        self._uses = {key: self._uses_of(verdict) for key, verdict in self.verdicts.items()}
        self._limits = tuple(limits)
        self._most = {one.use: one.max_concurrent for one in self._limits if one.max_concurrent is not None}
        self._running: Counter[Use] = Counter()
        self._spent: dict[int, float] = {}
        """Dollars of all projects together, by day."""
        self._firsts: list[list[Entry]] = [[] for _ in range(DEPTH)]
        """The first task of each project, the second, and so on, each in the order they are taken."""
        self._offers: dict[str, Waiting] = {}
        """Those of them that were asked for, by the task."""
        self._shares: dict[str, Share] = {}
        self._stale: set[str] = set()
        """Projects whose share is not as it was, if they have something waiting."""
        self._recent: dict[str, Recent] = {}
        self._now = self._looked_at = -LOOK_EVERY

    @staticmethod
    def _uses_of(verdict: Verdict) -> tuple[Use, ...]:
        return Place(host=ANYWHERE, profile_id=verdict.profile_id, model=verdict.model).uses

    # -- what changes

    def wait(self, task: Task) -> None:
        seen = Candidate(
            id=task.id,
            project_id=task.project_id,
            profile_id=task.profile_id,
            priority=task.priority,
            created_at=task.created_at,
        )
        line = self.tenants[task.project_id].waiting
        if not line:
            self._stale.add(task.project_id)
        entry = (task.priority, task.created_at, task.id, seen)
        at = bisect_left(line, entry)
        line.insert(at, entry)
        for level in range(at, min(DEPTH, len(line))):
            behind = line[level + 1] if level + 1 < len(line) else None
            self._change(level, old=behind, new=line[level])

    def start(self, task: Task, now: float) -> None:
        tenant = self.tenants[task.project_id]
        line = tenant.waiting
        at = bisect_left(line, (task.priority, task.created_at, task.id))
        old = line.pop(at)
        for level in range(at, min(DEPTH, len(line) + 1)):
            new = line[level] if level < len(line) else None
            self._change(level, old=old, new=new)
            if new is not None:
                old = new
        self._offers.pop(task.id, None)
        tenant.running[task.id] = now
        tenant.started += now
        self._running.update(self._uses[task.project_id, task.profile_id])
        self._stale.add(task.project_id)

    def stop(self, task: Task, now: float) -> bool:
        """Whether its project has nothing left of its daily budget from now on."""
        tenant = self.tenants[task.project_id]
        began = tenant.running.pop(task.id)
        took = now - began
        tenant.started -= began
        tenant.ended.append((now, took))
        tenant.seconds += took
        self._running.subtract(self._uses[task.project_id, task.profile_id])
        self._stale.add(task.project_id)
        day, usd = int(now // DAY), took * DOLLARS_PER_SECOND
        self._spent[day] = self._spent.get(day, 0.0) + usd
        return tenant.pay(usd, now)

    def _change(self, level: int, *, old: Entry | None, new: Entry | None) -> None:
        ordered = self._firsts[level]
        if old is not None:
            del ordered[bisect_left(ordered, old)]
        if new is not None:
            insort(ordered, new)

    # -- what a turn reads

    def candidates(self, most: int) -> list[Candidate]:
        """The first `most` tasks of every project, as `queue.candidates` has them."""
        found = [entry[3] for ordered in self._firsts[:most] for entry in ordered]
        if most > DEPTH:
            lines = (one.waiting for one in self.tenants.values())
            found += [entry[3] for line in lines for entry in line[DEPTH:most]]
        return found

    def offers(self, admitted: Iterable[Candidate]) -> tuple[Waiting, ...]:
        return tuple([self._offers.get(task.id) or self._offer(task) for task in admitted])

    def _offer(self, task: Candidate) -> Waiting:
        offer = self._offers[task.id] = Waiting(
            id=task.id,
            project_id=task.project_id,
            priority=task.priority,
            created_at=task.created_at,
            uses=self._uses[task.project_id, task.profile_id],
        )
        return offer

    def rooms(self) -> dict[Use, int]:
        return limit.rooms(self._limits, self._running)

    def is_spent(self, now: float) -> bool:
        """Whether the daily budget of all projects together is."""
        spent = self._spent.get(int(now // DAY), 0.0)
        budgets = [one.budget_usd_per_day for one in self._limits]
        return any(budget is not None and spent >= budget for budget in budgets)

    def shares(self, now: float) -> Mapping[str, Share]:
        """Of every project that has something waiting. What a project had lately is known from the last
        look; what it runs and what it spent, exactly."""
        if now - self._looked_at >= LOOK_EVERY or now // DAY != self._now // DAY:
            self._looked_at = now
            self._recent = {}
            self._stale = set(self.tenants)
        elif now != self._now:
            self._stale.update(one.id for one in self.tenants.values() if one.running)
        self._now = now
        for tenant in [self.tenants[project] for project in self._stale]:
            if tenant.waiting:
                if tenant.id not in self._recent:
                    self._recent[tenant.id] = tenant.recent_at(now)
                self._shares[tenant.id] = _share(tenant, self._recent[tenant.id], now)
        self._stale.clear()
        return self._shares

    # -- what holds

    def had(self, project: str, now: float) -> float:
        """Its slot seconds as they are, and not as the hosts know them."""
        tenant = self.tenants[project]
        return _share(tenant, tenant.recent_at(now), now).used_seconds

    def over_shared_limit(self, task: Task) -> bool:
        """Whether more run than may, by a limit that this task counts against."""
        uses = self._uses[task.project_id, task.profile_id]
        return any(self._running[use] > self._most[use] for use in uses if use in self._most)

    def counted(self) -> bool:
        """Whether what is said to run under the limit of all is what the projects have running."""
        everything = Place(host=ANYWHERE).uses[0]
        return self._running[everything] == sum(len(one.running) for one in self.tenants.values())


def _share(tenant: Tenant, recent: Recent, now: float) -> Share:
    return share(tenant.limits, tenant.running_at(now), recent, tenant.spent_at(now))
