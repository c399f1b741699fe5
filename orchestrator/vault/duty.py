"""The vault's duty: of several hosts that each have a vault, one defines what all of them run."""

from dataclasses import dataclass
from typing import Final

from orchestrator.domain.errors import Conflict
from orchestrator.store import duties, queue
from orchestrator.store.database import Transaction
from orchestrator.store.duties import Duty

NAME: Final = "vault"
LEASE_SECONDS: Final = 30.0


class VaultBehind(Conflict):
    """This vault does not have what is in effect; nothing was changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """This vault among those of all hosts: `holder` is the same for every process that uses it. Without
    `takes_over` the duty is left to the other vault that had it last, also while that one is away."""

    holder: str
    takes_over: bool = True


def must_take(tx: Transaction, candidate: Candidate) -> Duty:
    """What is written in the same transaction is fenced by it. Raises Conflict while it is another's."""
    duty = duties.take(
        tx,
        NAME,
        holder=candidate.holder,
        now=queue.clock(tx),
        lease_seconds=LEASE_SECONDS,
        takes_over=candidate.takes_over,
    )
    if duty is None:
        [other] = [duty.holder for duty in duties.list_duties(tx) if duty.name == NAME]
        raise Conflict(
            f"The profiles are defined by the vault {other} now; do it there. Nothing was changed here."
        )
    return duty
