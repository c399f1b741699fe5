"""What has been kept long enough: found on a reader, removed by key in small steps of the writer."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Integer, LargeBinary, Table, cast, delete, exists, func, or_, select, text
from sqlalchemy import update as change

from orchestrator.domain.retention import ACCOUNTED_DAYS, DAY, MEBIBYTE, Keep, before
from orchestrator.domain.task import TERMINAL
from orchestrator.store import archive
from orchestrator.store.archive import Chosen
from orchestrator.store.conditions import UNMEASURED, WITH_MESSAGES
from orchestrator.store.spending import TOKENS
from orchestrator.store.tables import (
    archived_tasks,
    attempt_messages,
    attempts,
    audit,
    events,
    profile_revisions,
    tasks,
    tokens,
)

Keys = Sequence[Any]

_ENDED: Final = sorted(state.value for state in TERMINAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """How many of the keys are through, and how many rows it took."""

    keys: int
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One kind of thing that is kept for a while."""

    name: str
    find: Callable[[Connection, Keep, float, int], Keys]
    """The keys of some that are due now, the oldest first; none when none are. Only reads."""
    remove: Callable[[Connection, Keys, float, int], Done]
    """Take the first of them away, about so many rows at most; what is left is given again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A task, archived or not: whose it is, and when it ended; `None` while it goes on."""

    project_id: str
    at: float | None


def ended(tx: Connection, ids: Collection[str]) -> dict[str, Ended]:
    """What is known of these tasks; those that nobody knows are missing."""
    found = {}
    for table in (tasks, archived_tasks):
        query = select(table.c.id, table.c.project_id, table.c.state, table.c.finished_at)
        for task_id, project_id, state, at in tx.execute(query.where(table.c.id.in_(ids))):
            found[task_id] = Ended(project_id=project_id, at=at if state in _ENDED else None)
    return found


def _find_ended(tx: Connection, keep: Keep, now: float, limit: int) -> Keys:
    cut = before(now, keep.archive_after_days)
    return [] if cut is None else archive.due(tx, Chosen(ended_by=cut), limit=limit)


def _archive(tx: Connection, keys: Keys, now: float, _limit: int) -> Done:
    moved = archive.archive(tx, Chosen(ended_by=now, ids=keys), now=now, limit=len(keys))
    return Done(keys=len(keys), rows=len(moved))


def _find_unmeasured(tx: Connection, keep: Keep, _now: float, limit: int) -> Keys:
    """Ended attempts and the bytes of their messages, the latest first. Those that were measured are not
    gone through: in time that is nearly all."""
    if keep.messages_days is None and keep.messages_mb is None:
        return []
    said = attempt_messages.c
    server = tx.dialect.name == "postgresql"
    each = func.octet_length(said.body) if server else func.length(cast(said.body, LargeBinary))
    mine = (attempt_messages.c.task_id == attempts.c.task_id) & (
        attempt_messages.c.number == attempts.c.number
    )
    size = select(func.coalesce(func.sum(each, type_=Integer), 0)).where(mine).scalar_subquery()
    query = (
        select(attempts.c.task_id, attempts.c.number, size)
        .where(text(UNMEASURED))
        .order_by(attempts.c.ended_at.desc())
        .limit(limit)
    )
    return [tuple(row) for row in tx.execute(query)]


def _measure(tx: Connection, keys: Keys, _now: float, _limit: int) -> Done:
    for task_id, number, size in keys:
        tx.execute(change(attempts).where(*_attempt(task_id, number)).values(message_bytes=size))
    return Done(keys=len(keys), rows=len(keys))


def _find_messages(tx: Connection, keep: Keep, now: float, limit: int) -> Keys:
    """Attempts whose messages are too old, or the oldest while all of them take too much."""
    cut, over = before(now, keep.messages_days), 0.0
    if keep.messages_mb is not None:
        taken = select(func.sum(attempts.c.message_bytes)).where(text(WITH_MESSAGES))
        over = float(tx.execute(taken).scalar() or 0) - keep.messages_mb * MEBIBYTE
    oldest = (
        select(attempts.c.ended_at, attempts.c.task_id, attempts.c.number, attempts.c.message_bytes)
        .where(text(WITH_MESSAGES))
        .order_by(attempts.c.ended_at, attempts.c.task_id, attempts.c.number)
        .limit(limit)
    )
    due = []
    for at, task_id, number, size in tx.execute(oldest):
        if over <= 0 and (cut is None or at >= cut):
            break
        due.append((task_id, number))
        over -= size
    return due


def _remove_messages(tx: Connection, keys: Keys, _now: float, limit: int) -> Done:
    done = rows = 0
    for task_id, number in keys:
        gone = _strip(tx, task_id, number, limit - rows)
        rows += gone.rows
        if not gone.keys:
            break
        tx.execute(change(attempts).where(*_attempt(task_id, number)).values(message_bytes=0))
        done += 1
        if rows >= limit:
            break
    return Done(keys=done, rows=rows)


def _strip(tx: Connection, task_id: str, number: int, limit: int) -> Done:
    """Remove the first of the attempt's messages; its key counts once all are gone."""
    said = attempt_messages.c
    mine = (said.task_id == task_id, said.number == number)
    rest = select(said.sequence).where(*mine).order_by(said.sequence).offset(max(limit, 1)).limit(1)
    first_left = tx.execute(rest).scalar()
    query = delete(attempt_messages).where(*mine)
    if first_left is not None:
        query = query.where(said.sequence < first_left)
    return Done(keys=int(first_left is None), rows=tx.execute(query).rowcount)


def _find_attempts(tx: Connection, keep: Keep, now: float, limit: int) -> Keys:
    cut = before(now, keep.attempts_days)
    if cut is None:
        return []
    its_task = tasks.c.id == attempts.c.task_id
    latest = exists().where(its_task, tasks.c.attempt == attempts.c.number)
    # A task may spend only so much, however long it takes: what its attempts spent is counted from them.
    budgeted = or_(tasks.c.max_budget_usd.is_not(None), tasks.c.max_tokens.is_not(None))
    counts = exists().where(its_task, budgeted, text(f"(cost_usd > 0 OR {TOKENS} > 0)"))
    query = (
        select(attempts.c.task_id, attempts.c.number)
        .where(attempts.c.ended_at.is_not(None), attempts.c.ended_at < cut, ~latest, ~counts)
        .order_by(attempts.c.ended_at)
        .limit(limit)
    )
    return [tuple(row) for row in tx.execute(query)]


def _remove_attempts(tx: Connection, keys: Keys, _now: float, limit: int) -> Done:
    """With their messages and questions."""
    done = rows = 0
    for task_id, number in keys:
        gone = _strip(tx, task_id, number, limit - rows)
        rows += gone.rows
        if not gone.keys:
            break
        rows += tx.execute(delete(attempts).where(*_attempt(task_id, number))).rowcount
        done += 1
        if rows >= limit:
            break
    return Done(keys=done, rows=rows)


def _find_archived(tx: Connection, keep: Keep, now: float, limit: int) -> Keys:
    cut = before(now, keep.archived_days)
    archived = archived_tasks.c
    oldest = select(archived.id).order_by(archived.created_at, archived.id)
    due: list[str] = []
    if cut is not None:
        # What was archived by then was created by then, which is what the index knows.
        old = oldest.where(archived.created_at < cut, archived.archived_at < cut).limit(limit)
        due = list(tx.execute(old).scalars())
    if not due and keep.archived_rows is not None:
        count = tx.execute(select(func.count()).select_from(archived_tasks)).scalar_one()
        surplus = min(max(count - keep.archived_rows, 0), limit)
        not_today = archived.archived_at < now - ACCOUNTED_DAYS * DAY
        due = list(tx.execute(oldest.where(not_today).limit(surplus)).scalars())
    return due


def _remove_archived(tx: Connection, keys: Keys, now: float, limit: int) -> Done:
    """With their attempts, and all that belongs to those."""
    done = rows = 0
    for task_id in keys:
        tried = tx.execute(select(attempts.c.number).where(attempts.c.task_id == task_id)).scalars().all()
        gone = _remove_attempts(tx, [(task_id, number) for number in tried], now, max(limit - rows, 1))
        rows += gone.rows
        if gone.keys < len(tried):
            break
        rows += tx.execute(delete(archived_tasks).where(archived_tasks.c.id == task_id)).rowcount
        done += 1
        if rows >= limit:
            break
    return Done(keys=done, rows=rows)


def _find_in_order(tx: Connection, table: Table, cut: float | None, most: int | None, limit: int) -> Keys:
    """The first ids up to the last one that is too old, or too many from the end. The latest row stays: the
    next reader learns from it where the rows begin."""
    first, last = tx.execute(select(func.min(table.c.id), func.max(table.c.id))).one()
    if first is None:
        return []
    surplus = last - most if most is not None else first - 1
    query = select(table.c.id, table.c.at).where(table.c.id < last).order_by(table.c.id).limit(limit)
    page = [(i, at) for i, at in tx.execute(query)]
    due = [i for i, at in page if i <= surplus or (cut is not None and at < cut)]
    return [i for i, _ in page if i <= due[-1]] if due else []


def _remove_in_order(tx: Connection, table: Table, keys: Keys) -> Done:
    gone = tx.execute(delete(table).where(table.c.id >= keys[0], table.c.id <= keys[-1]))
    return Done(keys=len(keys), rows=gone.rowcount)


def _find_tokens(tx: Connection, keep: Keep, now: float, limit: int) -> Keys:
    cut = before(now, keep.tokens_days)
    if cut is None:
        return []
    over = or_(tokens.c.revoked_at < cut, tokens.c.expires_at < cut)
    return list(tx.execute(select(tokens.c.id).where(over).limit(limit)).scalars())


def _find_revisions(tx: Connection, keep: Keep, now: float, limit: int) -> Keys:
    """Never the newest of a profile: it is the last good one."""
    cut = before(now, keep.revisions_days)
    newest_first = func.row_number().over(
        partition_by=(profile_revisions.c.project_id, profile_revisions.c.profile_id),
        order_by=profile_revisions.c.id.desc(),
    )
    ranked = select(
        profile_revisions.c.id, profile_revisions.c.created_at, newest_first.label("place")
    ).subquery()
    over = []
    if cut is not None:
        over.append(ranked.c.created_at < cut)
    if keep.revisions_kept is not None:
        over.append(ranked.c.place > keep.revisions_kept)
    if not over:
        return []
    query = select(ranked.c.id).where(ranked.c.place > 1, or_(*over)).order_by(ranked.c.id).limit(limit)
    return list(tx.execute(query).scalars())


def _remove_by_id(tx: Connection, table: Table, keys: Keys) -> Done:
    return Done(keys=len(keys), rows=tx.execute(delete(table).where(table.c.id.in_(keys))).rowcount)


def _attempt(task_id: str, number: int) -> tuple[Any, ...]:
    return attempts.c.task_id == task_id, attempts.c.number == number


SUBJECTS: Final = (
    Subject(name="ended_tasks", find=_find_ended, remove=_archive),
    Subject(name="measured_attempts", find=_find_unmeasured, remove=_measure),
    Subject(name="messages", find=_find_messages, remove=_remove_messages),
    Subject(name="archived_tasks", find=_find_archived, remove=_remove_archived),
    Subject(name="attempts", find=_find_attempts, remove=_remove_attempts),
    Subject(
        name="events",
        find=lambda tx, keep, now, limit: _find_in_order(
            tx, events, before(now, keep.events_days), keep.events_rows, limit
        ),
        remove=lambda tx, keys, _now, _limit: _remove_in_order(tx, events, keys),
    ),
    Subject(
        name="audit",
        find=lambda tx, keep, now, limit: _find_in_order(
            tx, audit, before(now, keep.audit_days), keep.audit_rows, limit
        ),
        remove=lambda tx, keys, _now, _limit: _remove_in_order(tx, audit, keys),
    ),
    Subject(
        name="tokens",
        find=_find_tokens,
        remove=lambda tx, keys, _now, _limit: _remove_by_id(tx, tokens, keys),
    ),
    Subject(
        name="profile_revisions",
        find=_find_revisions,
        remove=lambda tx, keys, _now, _limit: _remove_by_id(tx, profile_revisions, keys),
    ),
)
"""In the order in which they are gone through. The first moves to the archive, the second only measures."""
