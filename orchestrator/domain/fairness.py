"""Whose turn is it: which waiting tasks get the free slots, fairly between projects."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Final

MIN_CHARGE: Final = 1.0
"""Seconds a pick costs its project at least, so that tasks which take no time take turns too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A task that may start now; a lower priority number goes first, then the older one."""

    id: str
    project_id: str
    priority: int
    created_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A project's part in the recent past and what it may have.

    `used_seconds` is slot time in the window, running attempts included; `charge_seconds` is what one attempt
    is expected to take. `finished` counts attempts that ended in the window. `budget_left` is in USD, `None`
    where there is no budget; `max_concurrent` is `None` where there is no limit.
    """

    project_id: str
    weight: float = 1.0
    used_seconds: float = 0.0
    charge_seconds: float = 60.0
    finished: int = 0
    running: int = 0
    max_concurrent: int | None = None
    budget_left: float | None = None
    paused: bool = False

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ValueError(f"weight of project {self.project_id} must be above 0, not {self.weight}")

    @property
    def room(self) -> bool:
        """Whether it may start anything at all."""
        if self.paused or (self.budget_left is not None and self.budget_left <= 0):
            return False
        return self.max_concurrent is None or self.running < self.max_concurrent


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """Everything a decision is made from: who waits, what each project had, which slots are free."""

    waiting: tuple[Waiting, ...]
    shares: Mapping[str, Share]
    slots: tuple[int, ...]


def schedule(snapshot: Snapshot) -> list[tuple[str, int]]:
    """Which task goes into which free slot, as (task id, slot), in the order they should be taken.

    One slot at a time: first a project of which nothing finished in the window and nothing runs, then the
    one with the least slot time for its weight; within it by priority, age and id. A tie between projects is
    decided by their next tasks in the same order. A project without a share had nothing and has no limits.
    The result depends on the values alone, not on the order they come in.
    """
    turns = [
        _Turn(snapshot.shares.get(project, Share(project_id=project)), tasks)
        for project, tasks in _by_project(snapshot.waiting).items()
    ]
    # A pick changes the place of its own project only, and no two keys are equal: each ends in a task's id.
    queue = [(turn.key(), turn) for turn in turns if turn.has_more]
    heapify(queue)
    picks: list[tuple[str, int]] = []
    for slot in sorted(snapshot.slots):
        if not queue:
            break
        _, turn = heappop(queue)
        picks.append((turn.take(), slot))
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

    def __init__(self, share: Share, tasks: Sequence[Waiting]) -> None:
        self._share = share
        self._tasks = tasks
        self._picked = 0
        self._charge = max(share.charge_seconds, MIN_CHARGE)
        limit = len(tasks) if share.max_concurrent is None else share.max_concurrent - share.running
        self._most = min(len(tasks), limit) if share.room else 0

    @property
    def has_more(self) -> bool:
        return self._picked < self._most

    def key(self) -> tuple[bool, float, tuple[int, float, str]]:
        share = self._share
        had_something = share.finished + share.running + self._picked > 0
        used = (share.used_seconds + self._picked * self._charge) / share.weight
        return had_something, used, _order(self._tasks[self._picked])

    def take(self) -> str:
        task = self._tasks[self._picked]
        self._picked += 1
        return task.id
