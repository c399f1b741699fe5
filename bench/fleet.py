"""A fleet in virtual time: the real admission, fairness, life of a task and settling, and nothing else real.

Hosts take turns as `orchestrator.worker.turn` does: settle what ended, look at the first tasks of each
project, admit, schedule, claim. Attempts take random times and end in random ways; hosts die with what they
run, leases run out, and others take the tasks back. Everything random comes from one seed.
"""

import hashlib
from bisect import bisect_left, insort
from collections import Counter
from dataclasses import replace
from heapq import heappop, heappush
from random import Random

from fleet_parts import (
    DAY,
    DOLLARS_PER_SECOND,
    ENDINGS,
    LEASE,
    LONGEST,
    LOOK_EVERY,
    MEASURED,
    RESCUE_EVERY,
    WINDOW,
    Host,
    Plan,
    Seen,
    Tenant,
    place,
)

from orchestrator.domain import fairness, lifecycle, outcome
from orchestrator.domain.candidate import Candidate
from orchestrator.domain.fairness import Share, Snapshot, Waiting
from orchestrator.domain.project import CheckoutKind
from orchestrator.domain.settle import settle
from orchestrator.domain.task import TERMINAL, Task, TaskState
from orchestrator.store.load import Limits, Recent
from orchestrator.worker.admission import Backoff, Facts, Key, Verdict, admissible
from orchestrator.worker.turn import share


class Fleet:
    """One run; `run` may be called once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seen = Seen()
        self.now = 0.0
        self._random = Random(plan.seed)
        self._agenda: list[tuple[float, int, str, str, object]] = []
        self._counter = 0
        self._tasks: dict[str, Task] = {}
        self._losses: Counter[str] = Counter()
        self._holder: dict[str, tuple[str, int]] = {}
        """Task to the host that holds it and that host's life."""
        self._leases: dict[str, float] = {}
        """When the tasks of dead hosts may be taken back."""
        self._idle: set[str] = set()
        """Hosts with a free slot that found nothing to start."""
        self._recent: dict[str, Recent] = {}
        self._looked_at = -LOOK_EVERY
        self._hash = hashlib.sha256()
        self._open = plan.tasks
        self.tenants = {one.id: one for one in self._make_tenants()}
        self.hosts = {
            f"h{n:03}": Host(id=f"h{n:03}", free=list(range(plan.slots))) for n in range(plan.hosts)
        }
        self._verdicts: dict[Key, Verdict] = {
            (one.id, None): Verdict(harness=one.harness) for one in self.tenants.values()
        }
        self.seen.allowed_ahead = LONGEST + plan.hosts * plan.slots * LOOK_EVERY
        self._make_tasks()

    def _make_tenants(self) -> list[Tenant]:
        draw = self._random
        return [
            Tenant(
                limits=Limits(
                    project_id=f"p{n:04}",
                    weight=draw.choice((0.5, 1.0, 1.0, 2.0, 4.0)),
                    max_concurrent=draw.choice((None, None, 20, 100) if n < 100 else (None, None, 1, 5)),
                    # About half of what its tasks cost, so that some have to wait for another day.
                    budget_usd_per_day=draw.choice((None, None, None, 0.5 + self.plan.tasks / 100 / (n + 1))),
                    checkout=CheckoutKind.EMPTY,
                    repository=None,
                ),
                harness=draw.choice(("claude", "claude", "claude", "codex")),
            )
            for n in range(self.plan.projects)
        ]

    def _make_tasks(self) -> None:
        """Some projects ask for far more than others, and half of all at once."""
        names = list(self.tenants)
        parts = [1.0 / (1 + rank) for rank in range(len(names))]
        owners = self._random.choices(names, weights=parts, k=self.plan.tasks)
        for n, owner in enumerate(owners):
            at = 0.0 if self._random.random() < 0.5 else self._random.uniform(0.0, 2 * WINDOW)
            self._add("arrive", at, f"t{n:07}", (owner, self._random.choice((50, 100, 100, 100, 200))))

    # -- the course of time

    def run(self) -> Seen:
        for host in self.hosts.values():
            self._soon(host)
            self._doom(host)
        self._add("rescue", RESCUE_EVERY, "", None)
        self._add("midnight", DAY, "", None)
        while self._open and self._agenda:
            self.now, _, kind, name, more = heappop(self._agenda)
            getattr(self, f"_on_{kind}")(name, more)
        self.seen.virtual_seconds = self.now
        self.seen.states.update(task.state.value for task in self._tasks.values())
        self.seen.digest = self._hash.hexdigest()
        return self.seen

    def _add(self, kind: str, at: float, name: str, more: object) -> None:
        self._counter += 1
        heappush(self._agenda, (at, self._counter, kind, name, more))

    def _soon(self, host: Host, after: float = 1.0) -> None:
        """A turn of this host: endings and news that come within a second share one."""
        if host.alive and not host.turn_due:
            host.turn_due = True
            self._add("turn", self.now + after, host.id, host.lives)

    def _doom(self, host: Host) -> None:
        rate = self.plan.deaths_per_host_hour / 3600.0
        if rate:
            self._add("death", self.now + self._random.expovariate(rate), host.id, host.lives)

    def _on_arrive(self, name: str, more: object) -> None:
        owner, priority = more  # type: ignore[misc]  # the pair that _make_tasks put there
        self._tasks[name] = Task(
            id=name,
            project_id=owner,
            title=name,
            prompt="",
            state=TaskState.READY,
            priority=priority,
            created_at=self.now,
            updated_at=self.now,
        )
        self._wait(self._tasks[name])

    def _on_due(self, name: str, _more: object) -> None:
        task = self._tasks[name]
        if task.state is TaskState.WAITING_INPUT:
            task = lifecycle.answer(task, now=self.now)
        self._tasks[name] = replace(task, run_at=None, hold=None, hold_until=None)
        self._wait(self._tasks[name])

    def _wait(self, task: Task) -> None:
        seen = Candidate(
            id=task.id,
            project_id=task.project_id,
            profile_id=None,
            priority=task.priority,
            created_at=task.created_at,
        )
        waits = (task.priority, task.created_at, task.id, seen)
        insort(self.tenants[task.project_id].waiting, waits, key=place)
        self._wake()

    def _wake(self) -> None:
        """Something may be there to start: one host with a free slot hears of it."""
        if self._idle:
            name = min(self._idle)
            self._idle.discard(name)
            self._soon(self.hosts[name])

    def _on_midnight(self, _name: str, _more: object) -> None:
        """What was spent yesterday counts no more; hosts that sleep look again from time to time."""
        for name in sorted(self._idle):
            self._soon(self.hosts[name])
        self._idle.clear()
        self._add("midnight", self.now + DAY, "", None)

    def _on_end(self, name: str, more: object) -> None:
        task_id, attempt, ended = more  # type: ignore[misc]  # what _start put there
        host_id, lives = name.split("/")
        host = self.hosts[host_id]
        if host.lives == int(lives) and host.alive:
            host.finished.append((task_id, attempt, ended, self.now))
            self._soon(host)

    def _on_death(self, name: str, lives: object) -> None:
        host = self.hosts[name]
        if host.lives != lives:
            return
        self.seen.deaths += 1
        host.alive = False
        for task_id in host.running:
            self._leases[task_id] = self.now + LEASE
        host.running, host.finished, host.free = {}, [], []
        self._idle.discard(name)
        self._add("birth", self.now + self._random.uniform(1.0, 300.0), name, None)

    def _on_birth(self, name: str, _more: object) -> None:
        host = self.hosts[name]
        host.alive, host.turn_due, host.lives = True, False, host.lives + 1
        host.free = list(range(self.plan.slots))
        self._soon(host)
        self._doom(host)

    def _on_rescue(self, _name: str, _more: object) -> None:
        for task_id in sorted(one for one, until in self._leases.items() if until <= self.now):
            del self._leases[task_id]
            self._losses[task_id] += 1
            self.seen.rescued += 1
            task = lifecycle.rescue(
                self._tasks[task_id],
                now=self.now,
                losses=self._losses[task_id],
                jitter=self._random.random(),
            )
            self._stop(task_id)
            self._keep(task)
        self._add("rescue", self.now + RESCUE_EVERY, "", None)

    def _on_turn(self, name: str, lives: object) -> None:
        host = self.hosts[name]
        if host.lives != lives or not host.alive:
            return
        host.turn_due = False
        self._idle.discard(name)
        self.seen.turns += 1
        self._settle(host)
        if host.free:
            self._take(host)
        if host.free:
            self._idle.add(host.id)

    # -- one turn

    def _settle(self, host: Host) -> None:
        for task_id, attempt, ended, at in host.finished:
            slot, _ = host.running.pop(task_id)
            host.free.append(slot)
            task = self._tasks[task_id]
            if self._holder.get(task_id) != (host.id, host.lives) or task.attempt != attempt:
                self.seen.stale += 1
                continue
            settled = settle(task, ended, now=self.now, jitter=self._random.random())
            self._losses.pop(task_id, None)
            self._stop(task_id)
            if isinstance(ended, outcome.RateLimited):
                harness = self.tenants[task.project_id].harness
                host.backoffs[harness] = Backoff(
                    reason="rate_limit", message="", until=ended.reset_at or self.now
                )
            self.seen.outcomes[settled.outcome] += 1
            self._keep(
                replace(
                    lifecycle.release(replace(task, state=TaskState.ASSIGNED), now=at),
                    state=settled.state,
                    failures=task.failures + settled.used_attempt,
                    run_at=settled.run_at,
                    hold=settled.hold,
                    hold_until=settled.hold_until,
                )
            )
        host.finished = []

    def _keep(self, task: Task) -> None:
        """Store what became of a task, and put it where it waits."""
        if self._tasks[task.id].state in TERMINAL:
            self.seen.ended_twice += 1
        self._tasks[task.id] = task
        self._hash.update(f"{task.id} {task.state} {task.attempt} {self.now!r}\n".encode())
        if task.state in TERMINAL or task.state is TaskState.BLOCKED:
            self._open -= 1
        elif task.state is TaskState.WAITING_INPUT:
            self._add("due", self.now + self._random.uniform(10.0, 1000.0), task.id, None)
        elif task.run_at is not None or task.hold is not None:
            self._add("due", max(task.run_at or 0.0, task.hold_until or 0.0, self.now), task.id, None)
        else:
            self._wait(task)

    def _stop(self, task_id: str) -> None:
        tenant = self.tenants[self._tasks[task_id].project_id]
        began = tenant.running.pop(task_id)
        tenant.started -= began
        tenant.ended.append((self.now, self.now - began))
        tenant.seconds += self.now - began
        day = int(self.now // DAY)
        before = tenant.spent.get(day, 0.0)
        tenant.spent[day] = before + (self.now - began) * DOLLARS_PER_SECOND
        budget = tenant.limits.budget_usd_per_day
        self.seen.budgets_spent += budget is not None and before < budget <= tenant.spent[day]
        del self._holder[task_id]
        self._wake()

    def _take(self, host: Host) -> None:
        most = max(self.plan.per_project, len(host.free))
        waiting = [waits[3] for one in self.tenants.values() for waits in one.waiting[:most]]
        if not waiting:
            return
        admitted, _holds = admissible(waiting, self._facts(host))
        shares = self._shares()
        snapshot = Snapshot(
            waiting=tuple(
                Waiting(id=c.id, project_id=c.project_id, priority=c.priority, created_at=c.created_at)
                for c in admitted
            ),
            shares=shares,
            slots=tuple(sorted(host.free)),
        )
        left = Counter(task.project_id for task in admitted if shares[task.project_id].room)
        for task_id, slot in fairness.schedule(snapshot):
            project = self._tasks[task_id].project_id
            if self.seen.picks % MEASURED == 0:
                self._measure(self.tenants[project], left)
            left[project] -= 1
            self._start(host, task_id, slot)

    def _facts(self, host: Host) -> Facts:
        return Facts(
            now=self.now,
            verdicts=self._verdicts,
            harnesses=frozenset({"claude", "codex"}),
            backoffs=host.backoffs,
        )

    def _shares(self) -> dict[str, Share]:
        if self.now - self._looked_at >= LOOK_EVERY:
            self._looked_at = self.now
            self._recent = {one.id: one.recent_at(self.now) for one in self.tenants.values()}
        return {
            one.id: share(one.limits, one.running_at(self.now), self._recent[one.id], one.spent_at(self.now))
            for one in self.tenants.values()
            if one.waiting
        }

    def _start(self, host: Host, task_id: str, slot: int) -> None:
        task = lifecycle.claim(self._tasks[task_id], worker=host.id, now=self.now, lease_seconds=LEASE)
        task = lifecycle.begin(task, now=self.now)
        tenant = self.tenants[task.project_id]
        waits = (task.priority, task.created_at, task.id)
        del tenant.waiting[bisect_left(tenant.waiting, waits, key=lambda one: one[:3])]
        budget = tenant.limits.budget_usd_per_day
        self.seen.over_budget += budget is not None and tenant.spent_at(self.now).usd >= budget
        self.seen.over_limit += not tenant.has_room
        tenant.running[task_id] = self.now
        tenant.started += self.now
        self._tasks[task_id] = task
        self._holder[task_id] = (host.id, host.lives)
        host.free.remove(slot)
        host.running[task_id] = (slot, task.attempt)
        self.seen.picks += 1
        took = min(self._random.expovariate(1 / self.plan.mean_seconds), LONGEST)
        self._add("end", self.now + took, f"{host.id}/{host.lives}", (task_id, task.attempt, self._ending()))

    def _ending(self) -> outcome.Outcome:
        [kind] = self._random.choices(list(ENDINGS), weights=list(ENDINGS.values()))
        match kind:
            case "completed":
                return outcome.Completed(answer="done")
            case "crashed":
                return outcome.Crashed(message="it ended")
            case "overloaded":
                return outcome.Overloaded(message="busy")
            case "asked":
                return outcome.Asked(question="which?")
            case "rate_limited":
                return outcome.RateLimited(message="slow down", reset_at=self.now + 120.0)
            case "interrupted":
                return outcome.Interrupted()
            case _:
                return outcome.ModelRefused(message="no")

    def _measure(self, chosen: Tenant, left: Counter[str]) -> None:
        """How much more than its share the chosen one has had, beside the worst off that could start."""
        others = [one for name, count in left.items() if count and (one := self.tenants[name]).has_room]
        least = min((self._had(one) for one in others), default=self._had(chosen))
        ahead = (self._had(chosen) - least) * chosen.limits.weight
        self.seen.furthest_ahead = max(self.seen.furthest_ahead, ahead)

    def _had(self, one: Tenant) -> float:
        """Slot seconds for a unit of weight, as they are now and not as a host last saw them."""
        recent, running = one.recent_at(self.now), one.running_at(self.now)
        return share(one.limits, running, recent, one.spent_at(self.now)).used_seconds / one.limits.weight
