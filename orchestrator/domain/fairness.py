"""Whose turn is it: which waiting tasks get the free slots, fairly between projects."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final

Use = tuple[str, str]
"""A limit that concerns several projects, by a kind and a name that mean nothing here."""

MIN_CHARGE: Final = 1.0
"""Seconds a pick costs its project at least, so that tasks which take no time take turns too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A task that may start now; a lower priority number goes first, then the older one."""

    id: str
    project_id: str
    priority: int
    created_at: float
    uses: tuple[Use, ...] = ()
    """Limits beyond its project's that it counts against."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A project's part in the recent past and what it may have.

    `used_seconds` is slot time in the window, running attempts included; `charge_seconds` is what one attempt
    is expected to take. `finished` counts attempts that ended in the window. `budget_left` is in USD, it and
    `tokens_left` are `None` where there is no budget; `max_concurrent` is `None` where there is no limit.
    """

    project_id: str
    weight: float = 1.0
    used_seconds: float = 0.0
    charge_seconds: float = 60.0
    finished: int = 0
    running: int = 0
    max_concurrent: int | None = None
    budget_left: float | None = None
    tokens_left: int | None = None
    paused: bool = False

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ValueError(f"weight of project {self.project_id} must be above 0, not {self.weight}")

    @property
    def room(self) -> bool:
        """Whether it may start anything at all."""
        spent = any(left is not None and left <= 0 for left in (self.budget_left, self.tokens_left))
        if self.paused or spent:
            return False
        return self.max_concurrent is None or self.running < self.max_concurrent


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """Everything a decision is made from: who waits, what each project had, which slots are free."""

    waiting: tuple[Waiting, ...]
    shares: Mapping[str, Share]
    slots: tuple[int, ...]
    rooms: Mapping[Use, int] = field(default_factory=dict)
    """How many more may start under each limit that concerns several projects."""


def schedule(snapshot: Snapshot) -> list[tuple[str, int]]:
    """Which task goes into which free slot, as (task id, slot), in the order they should be taken.

    One slot at a time: first a project of which nothing finished in the window and nothing runs, then the
    one with the least slot time for its weight; within it by priority, age and id. A tie between projects is
    decided by their next tasks in the same order. A project without a share had nothing and has no limits.
    A task for which a limit leaves no room is passed over, and the next of its project has the turn.
    The result depends on the values alone, not on the order they come in.
    """
    rooms = dict(snapshot.rooms)
    turns = [
        _Turn(snapshot.shares.get(project, Share(project_id=project)), tasks, rooms)
        for project, tasks in _by_project(snapshot.waiting).items()
    ]
    # A pick changes the place of its own project only, and no two keys are equal: each ends in a task's id.
    queue = [(turn.key(), turn) for turn in turns if turn.has_more]
    heapify(queue)
    picks: list[tuple[str, int]] = []
    slots = sorted(snapshot.slots, reverse=True)
    while slots and queue:
        key, turn = heappop(queue)
        # Another project may have taken the room that its next task was to have.
        if turn.has_more and turn.key() == key:
            picks.append((turn.take(), slots.pop()))
        if turn.has_more:
            heappush(queue, (turn.key(), turn))
    return picks


def _by_project(waiting: Iterable[Waiting]) -> dict[str, list[Waiting]]:
    groups: dict[str, list[Waiting]] = {}
    for task in sorted(waiting, key=_order):
        groups.setdefault(task.project_id, []).append(task)
    return groups


def _order(task: Waiting) -> tuple[int, float, str]:
    return task.priority, task.created_at, task.id


class _Turn:
    """A project's place in the queue while the slots are dealt out."""

    def __init__(self, share: Share, tasks: Sequence[Waiting], rooms: dict[Use, int]) -> None:
        self._share = share
        self._tasks = tasks
        self._rooms = rooms
        self._picked = 0
        self._next = 0
        self._charge = max(share.charge_seconds, MIN_CHARGE)
        limit = len(tasks) if share.max_concurrent is None else share.max_concurrent - share.running
        self._most = min(len(tasks), limit) if share.room else 0

    @property
    def has_more(self) -> bool:
        """Whether it may have another, past those for which there is no room any more."""
        while self._next < len(self._tasks) and not self._fits(self._tasks[self._next]):
            self._next += 1
        return self._picked < self._most and self._next < len(self._tasks)

    def key(self) -> tuple[bool, float, tuple[int, float, str]]:
        share = self._share
        had_something = share.finished + share.running + self._picked > 0
        used = (share.used_seconds + self._picked * self._charge) / share.weight
        return had_something, used, _order(self._tasks[self._next])

    def take(self) -> str:
        task = self._tasks[self._next]
        self._next += 1
        self._picked += 1
        for use in task.uses:
            if use in self._rooms:
                self._rooms[use] -= 1
        return task.id

    def _fits(self, task: Waiting) -> bool:
        return all(self._rooms.get(use, 1) > 0 for use in task.uses)
