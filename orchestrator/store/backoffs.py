"""Providers to be left alone for a while, known to every host."""

from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select

from orchestrator.domain.provider import Backoff
from orchestrator.store.outbox import mark_changed
from orchestrator.store.tables import backoffs


def store(tx: Connection, heard: Mapping[str, Backoff | None]) -> None:
    """Leave these providers alone, and those with `None` no longer."""
    for provider, backoff in heard.items():
        tx.execute(delete(backoffs).where(backoffs.c.provider == provider))
        if backoff is None:
            mark_changed(tx)
            continue
        tx.execute(
            insert(backoffs).values(
                provider=provider, reason=backoff.reason, message=backoff.message, until=backoff.until
            )
        )


def current(tx: Connection, *, now: float) -> dict[str, Backoff]:
    """Those that hold now, by provider."""
    query = select(backoffs.c.provider, backoffs.c.reason, backoffs.c.message, backoffs.c.until)
    return {
        row[0]: Backoff(reason=row[1], message=row[2], until=row[3])
        for row in tx.execute(query.where(backoffs.c.until > now).order_by(backoffs.c.provider))
    }
