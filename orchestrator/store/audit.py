"""The audit: who did what that changes who may do what, which is to make and to revoke tokens."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert

from orchestrator.store.tables import audit


def record(
    tx: Connection,
    *,
    actor: str,
    command: str,
    subject: str,
    now: float,
    outcome: str = "done",
    data: Mapping[str, Any] | None = None,
    project_id: str | None = None,
) -> None:
    """Written in the transaction that it is about, so that neither is there without the other."""
    tx.execute(
        insert(audit).values(
            at=now,
            actor=actor,
            command=command,
            subject=subject,
            project_id=project_id,
            outcome=outcome,
            data=dict(data or {}),
        )
    )
