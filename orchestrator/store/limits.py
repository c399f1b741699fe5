"""Limits over all hosts: rows in, rows out, and what counts against them now."""

from typing import Any, Final

from sqlalchemy import Connection, delete, select, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from orchestrator.domain.limit import Limit, LimitScope, Place
from orchestrator.store.outbox import mark_rules_changed
from orchestrator.store.tables import limits

_NUMBERS: Final = ("max_concurrent", "budget_usd_per_day", "budget_tokens_per_day")
_NAMES: Final = ("scope", "name", *_NUMBERS)
_ALL: Final = select(*(limits.c[name] for name in _NAMES)).order_by(limits.c.scope, limits.c.name)
_LOCK: Final = text(
    "SELECT scope FROM limits WHERE max_concurrent IS NOT NULL ORDER BY scope, name FOR NO KEY UPDATE"
)
_RUNNING: Final = text(
    "SELECT host, claimed_profile, model, count(*) FROM attempts WHERE ended_at IS NULL "
    "GROUP BY host, claimed_profile, model"
)


def put(tx: Connection, limit: Limit, *, now: float) -> None:
    """Set a limit in the place of the one there was; one without any number is taken away."""
    key = {"scope": limit.scope.value, "name": limit.name}
    values: dict[str, Any] = {name: getattr(limit, name) for name in _NUMBERS}
    if any(value is not None for value in values.values()):
        insert = postgresql_insert if tx.dialect.name == "postgresql" else sqlite_insert
        values["updated_at"] = now
        # The same row: whoever waits to decide by it has a new one not yet in sight, and would wait for none.
        put = insert(limits).values(**key, **values)
        tx.execute(put.on_conflict_do_update(index_elements=tuple(key), set_=values))
    else:
        tx.execute(delete(limits).where(*(limits.c[name] == value for name, value in key.items())))
    mark_rules_changed(tx)


def list_limits(tx: Connection) -> list[Limit]:
    return [
        Limit(
            scope=LimitScope(row[0]),
            name=row[1],
            max_concurrent=row[2],
            budget_usd_per_day=row[3],
            budget_tokens_per_day=row[4],
        )
        for row in tx.execute(_ALL)
    ]


def lock(tx: Connection) -> None:
    """Let nobody else decide by these limits until this transaction ends, as two that count at the same time
    would both find room. In order: nobody waits in a circle."""
    if tx.dialect.name == "postgresql":
        tx.execute(_LOCK)


def running(tx: Connection) -> list[tuple[Place, int]]:
    """Where attempts are open, and how many."""
    return [
        (Place(host=row[0] or "", profile_id=row[1], model=row[2]), row[3]) for row in tx.execute(_RUNNING)
    ]
