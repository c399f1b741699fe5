"""Providers to be left alone for a while, known to every host."""

from collections.abc import Mapping

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from orchestrator.domain.provider import Backoff
from orchestrator.store.outbox import mark_rules_changed
from orchestrator.store.tables import backoffs


def store(tx: Connection, heard: Mapping[str, Backoff | None]) -> None:
    """Leave these providers alone, and those with `None` no longer."""
    insert = postgresql_insert if tx.dialect.name == "postgresql" else sqlite_insert
    if heard:
        mark_rules_changed(tx)
    # In order, and in one statement each: a rate limit is heard by every host at the same moment.
    for provider, backoff in sorted(heard.items()):
        if backoff is None:
            tx.execute(delete(backoffs).where(backoffs.c.provider == provider))
            continue
        said = {"reason": backoff.reason, "message": backoff.message, "until": backoff.until}
        put = insert(backoffs).values(provider=provider, **said)
        tx.execute(put.on_conflict_do_update(index_elements=("provider",), set_=said))


def current(tx: Connection, *, now: float) -> dict[str, Backoff]:
    """Those that hold now, by provider."""
    query = select(backoffs.c.provider, backoffs.c.reason, backoffs.c.message, backoffs.c.until)
    return {
        row[0]: Backoff(reason=row[1], message=row[2], until=row[3])
        for row in tx.execute(query.where(backoffs.c.until > now).order_by(backoffs.c.provider))
    }
