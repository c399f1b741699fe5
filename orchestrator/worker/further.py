"""Looking further into projects whose first tasks wait for room that those behind them can do without."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from orchestrator.domain.candidate import Candidate
from orchestrator.domain.fairness import Snapshot, Use
from orchestrator.domain.lack import SECRET_MISSING
from orchestrator.domain.limit import Place
from orchestrator.store import further
from orchestrator.store.database import Transaction
from orchestrator.store.further import FIRST, Line, Position
from orchestrator.worker.admission import Facts

LINES: Final = 4
"""Looked into in one turn; the others have theirs in the next ones."""

ROUNDS: Final = 3
"""In one turn: what is found may name profiles without room, too."""

Passing = Mapping[Line, frozenset[str | None]]
"""By line, the profiles that its tasks may name which cannot start now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dealt:
    """What was decided about some candidates, before anything is claimed."""

    candidates: Sequence[Candidate]
    facts: Facts
    snapshot: Snapshot
    places: Mapping[str, Place]
    """Of those that were admitted."""
    picks: Sequence[tuple[str, int]]

    @property
    def rooms(self) -> dict[Use, int]:
        """What the picks leave."""
        left = dict(self.snapshot.rooms)
        for task_id, _ in self.picks:
            for use in self.places[task_id].uses:
                if use in left:
                    left[use] -= 1
        return left


def stuck(dealt: Dealt, *, host: str, most: int) -> Passing:
    """Lines of projects of which nothing was picked though they may have more at work, because what they had
    to offer waits for a profile, a model or a provider. None, where no slot or no room is left for any."""
    facts = dealt.facts
    if len(dealt.picks) == len(dealt.snapshot.slots):
        return {}
    if not (dealt.snapshot.rooms or facts.backoffs or facts.elsewhere):
        return {}
    full = {use for use, left in dealt.rooms.items() if left <= 0}
    if not full.isdisjoint(Place(host=host).uses):
        return {}
    chosen = {task_id for task_id, _ in dealt.picks}
    picked = {task.project_id for task in dealt.candidates if task.id in chosen}
    offers: dict[Line, list[Candidate]] = {}
    for task in dealt.candidates:
        offers.setdefault((task.project_id, task.requires), []).append(task)
    return {
        line: passing
        for line, tasks in offers.items()
        if (len(tasks) >= most or line[0] in dealt.facts.directories)
        and line[0] not in picked
        and _may_have_more(dealt, line[0])
        and (passing := frozenset(task.profile_id for task in tasks if _waits(task, dealt, full)))
    }


def _may_have_more(dealt: Dealt, project: str) -> bool:
    share, facts = dealt.snapshot.shares.get(project), dealt.facts
    free = facts.directories.get(project) not in facts.busy
    return free and not facts.spent and project not in facts.lacking and (share is None or share.room)


def _waits(task: Candidate, dealt: Dealt, full: set[Use]) -> bool:
    away = dealt.facts.elsewhere.get(task.id)
    if away is not None:  # those behind it may do without the secret, but not without the repository
        return away.reason == SECRET_MISSING
    verdict = dealt.facts.verdicts[task.project_id, task.profile_id]
    backoff = dealt.facts.backoffs.get(verdict.harness or "")
    if backoff is not None and backoff.until > dealt.facts.now:
        return True
    place = Place(host="", profile_id=verdict.profile_id, model=verdict.model)
    return not full.isdisjoint(place.uses)


@dataclass(slots=True)
class Further:
    """One for a worker. It remembers how far it has looked in vain, so that the next turn goes on from there;
    at the end of a backlog it begins anew."""

    _looked: dict[Line, Position] = field(default_factory=dict)
    """By line, the one that was looked into last at the end."""

    def candidates(self, tx: Transaction, passing: Passing, *, most: int) -> list[Candidate]:
        """Tasks of these lines that may fare better."""
        waited = [line for line in self._looked if line in passing]
        new = [line for line in passing if line not in self._looked]
        found: list[Candidate] = []
        for line in (new + waited)[:LINES]:
            after = self._looked.pop(line, FIRST)
            some, following = further.beyond(tx, line, after, passing=passing[line], most=most)
            self._looked[line] = following or FIRST
            found += some
        return found
