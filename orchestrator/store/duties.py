"""Duties: work that one holder at a time does for the whole installation, as leases that change hands."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, case, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from orchestrator.domain.errors import LeaseLost
from orchestrator.store.tables import duties


@dataclass(frozen=True, kw_only=True, slots=True)
class Duty:
    """A duty as somebody holds it. `fence` grows whenever it is taken anew, so that whoever held it before
    can tell that he holds it no more; `lease_until` is Unix seconds by the database's clock."""

    name: str
    holder: str
    fence: int
    lease_until: float


def take(
    tx: Connection, name: str, *, holder: str, now: float, lease_seconds: float, takes_over: bool = True
) -> Duty | None:
    """The duty, when nobody else holds it; of one that we hold already, the same with a longer lease.
    Without `takes_over` it is also left to whoever held it last. `now` is the database's, see `queue.clock`.
    `None` while it is another's."""
    until = now + lease_seconds
    insert = postgresql_insert if tx.dialect.name == "postgresql" else sqlite_insert
    ours = (duties.c.worker == holder) & (duties.c.lease_until > now)
    row = tx.execute(
        insert(duties)
        .values(name=name, worker=holder, fence=1, lease_until=until)
        .on_conflict_do_update(
            index_elements=("name",),
            set_={
                "worker": holder,
                "fence": case((ours, duties.c.fence), else_=duties.c.fence + 1),
                "lease_until": until,
            },
            where=or_(duties.c.worker == holder, (duties.c.lease_until <= now) & literal(takes_over)),
        )
        .returning(duties.c.fence)
    ).scalar()
    return None if row is None else Duty(name=name, holder=holder, fence=row, lease_until=until)


def renew(tx: Connection, duty: Duty, *, now: float, lease_seconds: float) -> bool:
    """Hold it for longer. False when it was lost, also to nobody: a lease that ran out is taken anew."""
    changed = update(duties).where(*_ours(duty), duties.c.lease_until > now)
    return tx.execute(changed.values(lease_until=now + lease_seconds)).rowcount == 1


def must_hold(tx: Connection, duty: Duty, *, now: float) -> None:
    """The fence of what is written in this transaction: nobody else gets the duty before it ends.

    Raises LeaseLost.
    """
    held = select(duties.c.name).where(*_ours(duty), duties.c.lease_until > now).with_for_update(read=True)
    if tx.execute(held).first() is None:
        raise LeaseLost(f"The duty {duty.name!r} is another's by now; nothing was changed.")


def give_up(tx: Connection, duty: Duty) -> bool:
    """Let go of it, so that the next one need not wait. False when it was lost already."""
    return tx.execute(update(duties).where(*_ours(duty)).values(lease_until=0.0)).rowcount == 1


def release(tx: Connection, holder: str) -> None:
    """Let go of all that a holder has who is known to be dead. The rows stay, and with them the fences."""
    tx.execute(update(duties).where(duties.c.worker == holder).values(lease_until=0.0))


def list_duties(tx: Connection) -> list[Duty]:
    """All that were ever taken, by name; those whose lease has run out are among them."""
    columns = duties.c
    query = select(columns.name, columns.worker, columns.fence, columns.lease_until).order_by(columns.name)
    return [
        Duty(name=row.name, holder=row.worker, fence=row.fence, lease_until=row.lease_until)
        for row in tx.execute(query)
    ]


def _ours(duty: Duty) -> tuple[ColumnElement[bool], ...]:
    return duties.c.name == duty.name, duties.c.worker == duty.holder, duties.c.fence == duty.fence
