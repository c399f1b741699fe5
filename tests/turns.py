"""Turns of the queue without a worker around them: what one brings, and whom it asks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.domain.candidate import Candidate
from orchestrator.store.database import Transaction
from orchestrator.store.prepared import Prepared, Rows
from orchestrator.store.wake import Listener
from orchestrator.worker.admission import Key, Verdict
from orchestrator.worker.basis import Counsel, Order
from orchestrator.worker.standing import Rules

_PLAIN = Order(
    worker="w1",
    slots=(),
    endings=(),
    lease_seconds=30.0,
    recheck_seconds=300.0,
    per_project=8,
    recent={},
    harnesses=frozenset({"claude"}),
    labels=frozenset(),
    host="here",
    backoffs={},
    providers={},
    heard={},
)


def order(worker: str = "w1", *, slots: int = 0, **fields: Any) -> Order:
    """Fields as of `Order`; `slots` is how many are free."""
    return replace(_PLAIN, worker=worker, slots=tuple(range(slots)), **fields)


def as_named(
    _tx: Transaction, candidates: Sequence[Candidate], _now: float, _rules: int
) -> Mapping[Key, Verdict]:
    """Every task may run, under the profile that it names."""
    return {
        (one.project_id, one.profile_id): Verdict(harness="claude", profile_id=one.profile_id)
        for one in candidates
    }


def counsel(rules: Rules | None = None) -> Counsel:
    return Counsel(
        judge=as_named, rules=lambda _tx, _now, _heard, _version: rules or Rules(), spent=lambda _tx, _now: {}
    )


class Asking(Listener):
    """Asks in a transaction of the database itself, which `run` runs, and not on a line of its own."""

    def __init__(self, run: Callable[..., Rows | None]) -> None:
        super().__init__()
        self._run = run

    async def ask(self, statement: Prepared, values: Mapping[str, Any]) -> Rows | None:
        return self._run(statement.rows, values)
