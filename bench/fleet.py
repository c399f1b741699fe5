"""A fleet in virtual time: the real admission, fairness, life of a task and settling, and nothing else real.

Hosts take turns as `orchestrator.worker.turn` does: settle what ended, look at the first tasks of each
project, admit, schedule, claim. Attempts take random times and end in random ways; hosts die with what they
run, leases run out, and others take the tasks back. Everything random comes from one seed.
"""

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import replace
from heapq import heappop, heappush
from random import Random

from fleet_books import Books
from fleet_parts import (
    ASLEEP,
    DAY,
    DOLLARS_PER_SECOND,
    ENDINGS,
    LARGE,
    LEASE,
    LONGEST,
    MEASURED,
    RESCUE_EVERY,
    REVIEWER,
    SMALL,
    WEIGHTS,
    WINDOW,
    Host,
    Plan,
    Seen,
    Tenant,
)

from orchestrator.domain import fairness, lifecycle, outcome
from orchestrator.domain.fairness import Snapshot
from orchestrator.domain.limit import Limit, LimitScope
from orchestrator.domain.project import CheckoutKind
from orchestrator.domain.settle import settle
from orchestrator.domain.task import TERMINAL, Task, TaskState
from orchestrator.store.load import Limits
from orchestrator.worker.admission import Backoff, Facts, admissible

Tell = Callable[[float, int], None]
"""Hears of every virtual hour: the time, and how many tasks have not ended."""


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
        self._holder: dict[str, tuple[str, int]] = {}  # host and that host's life
        self._leases: dict[str, float] = {}
        """When the tasks of dead hosts may be taken back."""
        self._idle: OrderedDict[str, None] = OrderedDict()
        """Hosts with a free slot that found nothing to start, whoever waits longest first."""
        self._hash = hashlib.sha256()
        self._open = plan.tasks
        self.books = Books(self._make_tenants(), self._make_limits())
        self.hosts = {
            f"h{n:03}": Host(id=f"h{n:03}", free=list(range(plan.slots))) for n in range(plan.hosts)
        }
        self.seen.allowed_ahead = LONGEST * max(WEIGHTS) / min(WEIGHTS)
        self._make_tasks()

    def _make_tenants(self) -> list[Tenant]:
        draw = self._random
        return [
            Tenant(
                limits=Limits(
                    project_id=f"p{n:04}",
                    weight=draw.choice(WEIGHTS),
                    max_concurrent=draw.choice((None, None, 20, 100) if n < 100 else (None, None, 1, 5)),
                    # About two thirds of what its tasks cost, so that some have to wait for another day.
                    budget_usd_per_day=draw.choice((None, None, None, 0.5 + self.plan.tasks / 100 / (n + 1))),
                    checkout=CheckoutKind.EMPTY,
                    repository=None,
                ),
                harness=draw.choice(("claude", "claude", "claude", "codex")),
                model=draw.choice((LARGE, SMALL)),
            )
            for n in range(self.plan.projects)
        ]

    def _make_limits(self) -> tuple[Limit, ...]:
        """Each about what is asked for while much waits, so that every one of them is reached."""
        slots = self.plan.hosts * self.plan.slots
        cost = self.plan.tasks * self.plan.mean_seconds * DOLLARS_PER_SECOND
        return (
            Limit(
                scope=LimitScope.INSTANCE,
                max_concurrent=max(slots * 99 // 100, 1),
                budget_usd_per_day=0.8 * cost,
            ),
            Limit(scope=LimitScope.MODEL, name=LARGE, max_concurrent=max(slots * 40 // 100, 1)),
            Limit(scope=LimitScope.PROFILE, name=REVIEWER, max_concurrent=max(slots * 24 // 100, 1)),
        )

    def _make_tasks(self) -> None:
        """Some projects ask for far more than others, and half of all at once."""
        draw = self._random
        names = list(self.books.tenants)
        parts = [1.0 / (1 + rank) for rank in range(len(names))]
        for n, owner in enumerate(draw.choices(names, weights=parts, k=self.plan.tasks)):
            at = 0.0 if draw.random() < 0.5 else draw.uniform(0.0, 2 * WINDOW)
            profile = draw.choice((None, None, None, REVIEWER))
            self._add("arrive", at, f"t{n:07}", (owner, profile, draw.choice((50, 100, 100, 100, 200))))

    # -- the course of time

    def run(self, tell: Tell = lambda _now, _open: None) -> Seen:
        for host in self.hosts.values():
            self._soon(host)
            self._doom(host)
        self._add("rescue", RESCUE_EVERY, "", None)
        self._add("midnight", DAY, "", None)
        self._add("hour", WINDOW, "", tell)
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

    def _soon(self, host: Host) -> None:
        """A turn of this host. All take theirs at the same moments, one after the other, and share what they
        know of a moment: how long attempts have run by then."""
        if host.alive and not host.turn_due:
            host.turn_due = True
            self._add("turn", (self.now // self.plan.pace + 1) * self.plan.pace, host.id, host.lives)

    def _doom(self, host: Host) -> None:
        rate = self.plan.deaths_per_host_hour / 3600.0
        if rate:
            self._add("death", self.now + self._random.expovariate(rate), host.id, host.lives)

    def _on_arrive(self, name: str, more: object) -> None:
        owner, profile, priority = more  # type: ignore[misc]  # what _make_tasks put there
        self._tasks[name] = Task(
            id=name,
            project_id=owner,
            profile_id=profile,
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
        self.books.wait(task)
        self._wake()

    def _wake(self) -> None:
        """Something may be there to start: one host with a free slot hears of it."""
        if self._idle:
            name, _ = self._idle.popitem(last=False)
            self._soon(self.hosts[name])

    def _on_midnight(self, _name: str, _more: object) -> None:
        """What was spent yesterday counts no more; hosts that sleep look again from time to time."""
        while self._idle:
            self._wake()
        self._add("midnight", self.now + DAY, "", None)

    def _on_hour(self, _name: str, tell: object) -> None:
        tell(self.now, self._open)  # type: ignore[operator]  # what run put there
        self._add("hour", self.now + WINDOW, "", tell)

    def _on_again(self, name: str, _more: object) -> None:
        """A provider may be asked again from this host."""
        self._soon(self.hosts[name])

    def _on_end(self, name: str, more: object) -> None:
        task_id, attempt, ended = more  # type: ignore[misc]  # what _start put there
        host_id, lives = name.split("/")
        host = self.hosts[host_id]
        if host.lives == int(lives):
            host.finished.append((task_id, attempt, ended, self.now))
            self._soon(host)

    def _on_death(self, name: str, lives: object) -> None:
        """Nothing is heard of a host any more; some come back and do not know that they were missed."""
        host = self.hosts[name]
        if host.lives != lives:
            return
        host.alive = host.turn_due = False
        self._idle.pop(name, None)
        for task_id, attempt in host.running:
            if self._holds(host, task_id, attempt):
                self._leases[task_id] = self.now + LEASE
        if self._random.random() < ASLEEP:
            self.seen.sleeps += 1
            self._add("waking", self.now + self._random.uniform(1.0, 120.0), name, None)
            return
        self.seen.deaths += 1
        host.lives += 1
        host.running, host.finished, host.free = {}, [], list(range(self.plan.slots))
        self._add("waking", self.now + self._random.uniform(1.0, 300.0), name, None)

    def _on_waking(self, name: str, _more: object) -> None:
        host = self.hosts[name]
        host.alive = True
        for task_id, attempt in host.running:
            if self._holds(host, task_id, attempt):
                self._leases.pop(task_id)
        self._soon(host)
        self._doom(host)

    def _holds(self, host: Host, task_id: str, attempt: int) -> bool:
        """The fence: whether this attempt is the one that the task is claimed for."""
        held_by = self._holder.get(task_id)
        return held_by == (host.id, host.lives) and self._tasks[task_id].attempt == attempt

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
        self._idle.pop(name, None)
        self.seen.turns += 1
        self._settle(host)
        if host.free:
            self._take(host)
        if host.free:
            self._idle[host.id] = None

    # -- one turn

    def _settle(self, host: Host) -> None:
        for task_id, attempt, ended, at in host.finished:
            host.free.append(host.running.pop((task_id, attempt)))
            if not self._holds(host, task_id, attempt):
                self.seen.stale += 1
                continue
            task = self._tasks[task_id]
            settled = settle(task, ended, now=self.now, jitter=self._random.random())
            self._losses.pop(task_id, None)
            self._stop(task_id)
            if isinstance(ended, outcome.RateLimited):
                harness, until = self.books.tenants[task.project_id].harness, ended.reset_at or self.now
                host.backoffs[harness] = Backoff(reason="rate_limit", message="", until=until)
                self._add("again", until, host.id, None)
            self.seen.outcomes[settled.outcome] += 1
            self._keep(
                replace(
                    task,
                    state=settled.state,
                    failures=task.failures + settled.used_attempt,
                    run_at=settled.run_at,
                    hold=settled.hold,
                    hold_until=settled.hold_until,
                    claimed_by=None,
                    lease_until=None,
                    updated_at=at,
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
        self.seen.budgets_spent += self.books.stop(self._tasks[task_id], self.now)
        del self._holder[task_id]
        self._wake()

    def _take(self, host: Host) -> None:
        candidates = self.books.candidates(max(self.plan.per_project, len(host.free)))
        if not candidates:
            return
        self.seen.looked_at += len(candidates)
        facts = self._facts(host)
        admitted, _holds = admissible(candidates, facts)
        snapshot = Snapshot(
            waiting=self.books.offers(admitted),
            shares=self.books.shares(self.now),
            slots=tuple(host.free),
            rooms=self.books.rooms(),
        )
        picks = fairness.schedule(snapshot)
        self.seen.shared_budget_spent += facts.spent
        self.seen.limits_reached.update(scope for (scope, _), room in snapshot.rooms.items() if not room)
        if picks and self.seen.turns % MEASURED == 0:
            self._measure(snapshot, self._tasks[picks[0][0]].project_id)
        for task_id, slot in picks:
            self._start(host, task_id, slot)

    def _facts(self, host: Host) -> Facts:
        return Facts(
            now=self.now,
            verdicts=self.books.verdicts,
            harnesses=frozenset({"claude", "codex"}),
            backoffs=host.backoffs,
            spent=self.books.is_spent(self.now),
        )

    def _start(self, host: Host, task_id: str, slot: int) -> None:
        task = lifecycle.claim(self._tasks[task_id], worker=host.id, now=self.now, lease_seconds=LEASE)
        task = lifecycle.begin(task, now=self.now)
        tenant = self.books.tenants[task.project_id]
        budget = tenant.limits.budget_usd_per_day
        self.seen.over_limit += not tenant.has_room
        self.seen.over_budget += budget is not None and tenant.spent_at(self.now).usd >= budget
        self.seen.over_shared_budget += self.books.is_spent(self.now)
        self.books.start(task, self.now)
        self.seen.over_shared_limit += self.books.over_shared_limit(task)
        self._tasks[task_id] = task
        self._holder[task_id] = (host.id, host.lives)
        host.free.remove(slot)
        host.running[task_id, task.attempt] = slot
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

    def _measure(self, snapshot: Snapshot, chosen: str) -> None:
        """How much more than its share the chosen one had, beside the worst off that could have been."""
        assert self.books.counted()
        full = {use for use, room in snapshot.rooms.items() if not room}
        able = {task.project_id for task in snapshot.waiting if full.isdisjoint(task.uses)} | {chosen}
        had = {project: self.books.had(project, self.now) for project in able}
        shares = snapshot.shares
        least = min(had[one] / shares[one].weight for one in able if shares[one].room or one == chosen)
        known = shares[chosen]
        ahead = min(had[chosen], known.used_seconds) - least * known.weight
        self.seen.measured += 1
        self.seen.furthest_ahead = max(self.seen.furthest_ahead, ahead)
        self.seen.furthest_unseen = max(self.seen.furthest_unseen, had[chosen] - least * known.weight)
