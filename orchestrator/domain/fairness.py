"""Whose turn is it: which waiting tasks get the free slots, fairly between projects."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from operator import attrgetter
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
        return not (
            self.paused
            or (self.max_concurrent is not None and self.running >= self.max_concurrent)
            or (self.budget_left is not None and self.budget_left <= 0)
            or (self.tokens_left is not None and self.tokens_left <= 0)
        )


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
    full = {use for use, room in rooms.items() if room <= 0}
    turns = [
        _Turn(share, tasks, full)
        for project, tasks in _by_project(snapshot.waiting).items()
        if (share := snapshot.shares.get(project) or Share(project_id=project)).room
    ]
    # A pick changes the place of its own project only, and no two keys are equal: each ends in a task's id.
    queue = [(key, turn) for turn in turns if (key := turn.key()) is not None]
    heapify(queue)
    picks: list[tuple[str, int]] = []
    slots = sorted(snapshot.slots, reverse=True)
    while slots and queue:
        known, turn = heappop(queue)
        key = turn.key()
        if key == known:  # and no other project has taken the room that its next task was to have
            task = turn.take()
            full |= _count(task.uses, rooms)
            picks.append((task.id, slots.pop()))
            key = turn.key()
        if key is not None:
            heappush(queue, (key, turn))
    return picks


_Key = tuple[bool, float, int, float, str]
"""A project's place in the queue: what it had, then its next task."""

_order = attrgetter("priority", "created_at", "id")


def _by_project(waiting: Iterable[Waiting]) -> dict[str, list[Waiting]]:
    groups: dict[str, list[Waiting]] = {}
    for task in waiting:
        group = groups.get(task.project_id)
        if group is None:
            groups[task.project_id] = [task]
        else:
            group.append(task)
    return groups


def _count(uses: Iterable[Use], rooms: dict[Use, int]) -> set[Use]:
    """Takes a place under each of the limits, and says which of them have none left."""
    limited = [use for use in uses if use in rooms]
    for use in limited:
        rooms[use] -= 1
    return {use for use in limited if rooms[use] <= 0}


class _Turn:
    """What a project that may start something has waiting, while the slots are dealt out."""

    __slots__ = ("_full", "_next", "_picked", "_share", "_tasks")

    def __init__(self, share: Share, tasks: list[Waiting], full: Set[Use]) -> None:
        """`full` names the limits that leave no room; it grows while the slots are dealt out."""
        if len(tasks) > 1:
            tasks.sort(key=_order)
        self._share = share
        self._tasks = tasks
        self._full = full
        self._next = self._picked = 0

    def key(self) -> _Key | None:
        """Its place, past the tasks for which there is no room any more; `None` when it may have no more."""
        share, picked, full = self._share, self._picked, self._full
        if share.max_concurrent is not None and share.running + picked >= share.max_concurrent:
            return None
        while self._next < len(self._tasks):
            task = self._tasks[self._next]
            if not full or full.isdisjoint(task.uses):
                had_something = picked > 0 or share.finished > 0 or share.running > 0
                used = share.used_seconds
                if picked:
                    used += picked * max(share.charge_seconds, MIN_CHARGE)
                return had_something, used / share.weight, task.priority, task.created_at, task.id
            self._next += 1
        return None

    def take(self) -> Waiting:
        task = self._tasks[self._next]
        self._next += 1
        self._picked += 1
        return task
