"""Agents as callers: the token of an attempt, whose it is, and what is asked with it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, insert, select, text

from orchestrator.domain.errors import NotPermitted
from orchestrator.domain.event import Event
from orchestrator.domain.task import Claim
from orchestrator.store.outbox import announce
from orchestrator.store.queue import AMONG, among
from orchestrator.store.tables import attempts, tokens

ATTEMPT: Final = "attempt"
"""Scope of a token that is an attempt's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bearer:
    """The attempt that a token belongs to. `effective` is the document of its snapshot."""

    task_id: str
    attempt: int
    project_id: str
    effective: Mapping[str, Any]


def issue(tx: Connection, claim: Claim, *, digest: str, now: float) -> None:
    """Give the attempt its token, of which only the digest is kept."""
    task = claim.task
    tx.execute(
        insert(tokens).values(
            id=f"{task.id}.{claim.attempt}",
            digest=digest,
            name=f"attempt {claim.attempt} of task {task.id}",
            scope=ATTEMPT,
            project_id=task.project_id,
            task_id=task.id,
            attempt=claim.attempt,
            created_at=now,
        )
    )


def bearer(tx: Connection, digest: str) -> Bearer | None:
    """Whose token this is, as long as that attempt goes on; `None` for every other."""
    query = (
        select(attempts.c.task_id, attempts.c.number, attempts.c.project_id, attempts.c.effective)
        .join(tokens, (tokens.c.task_id == attempts.c.task_id) & (tokens.c.attempt == attempts.c.number))
        .where(tokens.c.digest == digest, tokens.c.scope == ATTEMPT, tokens.c.revoked_at.is_(None))
        .where(attempts.c.ended_at.is_(None), attempts.c.effective.is_not(None))
    )
    row = tx.execute(query).first()
    if row is None:
        return None
    return Bearer(task_id=row[0], attempt=row[1], project_id=row[2], effective=row[3])


def called(tx: Connection, caller: Bearer, tool: str, *, refused: str | None, now: float) -> None:
    """Record a call before it is carried out, or that it was refused and why.
    Raises NotPermitted when the attempt has ended: nothing may be done in its name any more."""
    going_on = (
        select(attempts.c.number)
        .where(attempts.c.task_id == caller.task_id, attempts.c.number == caller.attempt)
        .where(attempts.c.ended_at.is_(None))
        .with_for_update(read=True)
    )
    if tx.execute(going_on).first() is None:
        raise NotPermitted(f"attempt {caller.attempt} of task {caller.task_id} has ended; nothing was done")
    data = {"attempt": caller.attempt, "tool": tool, "profile": caller.effective.get("profile_id")}
    announce(
        tx,
        Event(
            kind="tool.called" if refused is None else "tool.refused",
            subject=f"task/{caller.task_id}/attempt/{caller.attempt}",
            at=now,
            data=data if refused is None else {**data, "reason": refused},
            project_id=caller.project_id,
            task_id=caller.task_id,
        ),
    )


_REVOKE: Final = {
    dialect: text(
        f"UPDATE tokens SET revoked_at = :now WHERE task_id {among_ids} "  # noqa: S608 - constants of this package
        "AND revoked_at IS NULL AND task_id IS NOT NULL"
    )
    for dialect, among_ids in AMONG.items()
}


def revoke(tx: Connection, task_ids: Iterable[str], *, now: float) -> None:
    """End the tokens of these tasks' attempts, in the transaction that ends the attempts: a task has one
    attempt at a time."""
    tx.execute(_REVOKE[tx.dialect.name], {"ids": among(tx, task_ids), "now": now})
