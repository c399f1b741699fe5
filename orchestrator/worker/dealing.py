"""Dealing out free slots within a turn: who starts in which, and who is put aside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.domain import fairness
from orchestrator.domain.candidate import Candidate
from orchestrator.domain.fairness import Snapshot
from orchestrator.domain.limit import Place
from orchestrator.store import queue
from orchestrator.store.database import Transaction
from orchestrator.worker.admission import Facts, Hold, admissible
from orchestrator.worker.basis import Counsel, Order, most_of, place_of, waiting_of
from orchestrator.worker.further import ROUNDS, Dealt, stuck


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    picks: tuple[tuple[str, int], ...]
    """Each task with its slot, in the order they should be taken."""
    places: Mapping[str, Place]
    """What each of them counts against."""
    held: int
    """How many were put aside."""


class Dealer:
    """One for a turn."""

    def __init__(self, tx: Transaction, order: Order, counsel: Counsel) -> None:
        self._tx = tx
        self._order = order
        self._counsel = counsel

    def decide(self, candidates: Sequence[Candidate], facts: Facts, snapshot: Snapshot) -> Decided:
        """Who starts in which slot. Where the first tasks of a project wait for room that others can do
        without, those behind them are asked, too."""
        counsel, host, most = self._counsel, self._order.host, most_of(self._order)
        dealt, held = self._deal(candidates, facts, snapshot)
        picks, places = dict(dealt.picks), dict(dealt.places)
        passing = stuck(dealt, host=host, most=most)
        for _ in range(ROUNDS):
            if not passing or not (found := counsel.further.candidates(self._tx, passing, most=most)):
                break
            taken = {facts.directories.get(task.project_id) for task in dealt.candidates if task.id in picks}
            busy = facts.busy.union(directory for directory in taken if directory is not None)
            verdicts = counsel.judge(self._tx, found, facts.now, facts.rules)
            facts = replace(facts, verdicts=verdicts, busy=busy)
            left = tuple(slot for slot in snapshot.slots if slot not in picks.values())
            dealt, more = self._deal(found, facts, replace(snapshot, rooms=dealt.rooms, slots=left))
            held += more
            picks |= dealt.picks
            places |= dealt.places
            again = stuck(dealt, host=host, most=1)
            passing = {line: passing[line] | names for line, names in again.items()}
        return Decided(picks=tuple(picks.items()), places=places, held=held)

    def _deal(self, candidates: Sequence[Candidate], facts: Facts, snapshot: Snapshot) -> tuple[Dealt, int]:
        """Puts aside those that cannot start for reasons of their own; answers with how many, too."""
        facts = replace(facts, elsewhere=self._counsel.elsewhere(self._tx, candidates, facts))
        admitted, holds = admissible(candidates, facts)
        places = {task.id: place_of(task, facts, self._order.host) for task in admitted}
        snapshot = replace(snapshot, waiting=waiting_of(admitted, places if snapshot.rooms else {}))
        picks = fairness.schedule(snapshot)
        confined = self._confined(candidates, picks, facts)
        held = {hold.task_id for hold in confined}
        picks = [pick for pick in picks if pick[0] not in held]
        stored = [
            queue.Held(task_id=hold.task_id, reason=hold.reason, message=hold.message, until=hold.until)
            for hold in (*holds, *confined)
            if hold.until is not None
        ]
        queue.hold(self._tx, stored, now=facts.now)
        dealt = Dealt(candidates=candidates, facts=facts, snapshot=snapshot, places=places, picks=picks)
        return dealt, len(stored)

    def _confined(
        self, candidates: Sequence[Candidate], picks: Sequence[tuple[str, int]], facts: Facts
    ) -> list[Hold]:
        """What was picked and may not start, as nobody's agent may have more done than it could do."""
        picked = {task_id for task_id, _ in picks}
        asked = [task for task in candidates if task.by_agent and task.id in picked]
        verdicts = [(task, self._counsel.confined(self._tx, task)) for task in asked]
        later = facts.now + facts.recheck_seconds
        return [
            Hold(task_id=task.id, reason=verdict.reason, message=verdict.message, until=later)
            for task, verdict in verdicts
            if verdict is not None and verdict.reason is not None
        ]
