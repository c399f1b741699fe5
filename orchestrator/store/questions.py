"""Questions: what agents asked people, and the answers."""

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select, text, update

from orchestrator.domain import lifecycle
from orchestrator.domain.errors import Conflict
from orchestrator.domain.event import Event
from orchestrator.domain.question import Question
from orchestrator.domain.task import Task
from orchestrator.store import dependencies
from orchestrator.store.conditions import ASKED
from orchestrator.store.outbox import announce, mark_changed
from orchestrator.store.tables import questions, tasks
from orchestrator.store.task_rows import COLUMNS, locked, save, task_of

AT_ONCE: Final = 200
"""Tasks ended in one transaction."""

NOT_ANSWERED: Final = "unanswered"

_OVERDUE: Final = select(*COLUMNS).where(text(ASKED), tasks.c.answer_by <= bindparam("now"))


def ask(tx: Connection, question: Question, *, project_id: str) -> None:
    """Keep what the attempt asks; its worker hears of it and ends the attempt.
    Raises Conflict when it has asked before: one question ends an attempt."""
    query = select(questions.c.attempt).where(*_key(question.task_id, question.attempt))
    if tx.execute(query).first() is not None:
        raise Conflict(
            "This attempt has asked already and is about to end; ask the rest when the answer is there."
        )
    tx.execute(
        insert(questions).values(
            task_id=question.task_id,
            attempt=question.attempt,
            question=question.question,
            asked_at=question.asked_at,
        )
    )
    announce(
        tx,
        Event(
            kind="question.asked",
            subject=f"task/{question.task_id}/attempt/{question.attempt}",
            at=question.asked_at,
            data={"attempt": question.attempt, "question": question.question},
            project_id=project_id,
            task_id=question.task_id,
        ),
    )
    mark_changed(tx)


def answer(tx: Connection, task_id: str, text: str, *, by: str, now: float) -> Task:
    """Answer what the task waits for: it may start again, in the session that asked.
    Raises NotFound, or IllegalTransition when it waits for no answer."""
    old = locked(tx, task_id)
    new = lifecycle.answer(old, now=now)
    answered = {"answer": text, "answered_at": now, "answered_by": by}
    if not tx.execute(update(questions).where(*_key(task_id, old.attempt)).values(answered)).rowcount:
        asked = {"question": old.result or "", "asked_at": old.updated_at}
        tx.execute(insert(questions).values(task_id=task_id, attempt=old.attempt, **asked, **answered))
    return save(tx, old, new, "task.answered", attempt=old.attempt, by=by)


def any_overdue(tx: Connection, *, now: float) -> bool:
    """Whether there are tasks whose time for an answer is over."""
    return tx.execute(_OVERDUE.limit(1), {"now": now}).first() is not None


def lapse(tx: Connection, *, now: float) -> list[Task]:
    """End the tasks whose time for an answer is over, `AT_ONCE` at most, and what depends on them with them.
    One that somebody answers at this moment is left alone."""
    query = _OVERDUE.order_by(tasks.c.answer_by).limit(AT_ONCE).with_for_update(skip_locked=True)
    found = [task_of(row) for row in tx.execute(query, {"now": now})]
    ended = [_lapsed(tx, task, now) for task in found]
    dependencies.after_ending(tx, [task.id for task in ended], now=now)
    return ended


def _lapsed(tx: Connection, task: Task, now: float) -> Task:
    new = lifecycle.lapse(task, now=now)
    facts = {"attempt": task.attempt, "outcome": NOT_ANSWERED, "message": new.result}
    return save(tx, task, new, "task.failed", **facts)


def get(tx: Connection, task_id: str, attempt: int) -> Question | None:
    row = tx.execute(select(questions).where(*_key(task_id, attempt))).first()
    return None if row is None else _question(row)


def of_task(tx: Connection, task_id: str) -> list[Question]:
    """All that its agents asked, in order."""
    query = select(questions).where(questions.c.task_id == task_id).order_by(questions.c.attempt)
    return [_question(row) for row in tx.execute(query)]


def unanswered(tx: Connection, task_ids: Collection[str]) -> dict[tuple[str, int], str]:
    """The open questions of these tasks, by task and attempt."""
    query = select(questions.c.task_id, questions.c.attempt, questions.c.question).where(
        questions.c.task_id.in_(task_ids), questions.c.answered_at.is_(None)
    )
    return {(row[0], row[1]): row[2] for row in tx.execute(query)} if task_ids else {}


def _key(task_id: str, attempt: int) -> tuple[Any, ...]:
    return questions.c.task_id == task_id, questions.c.attempt == attempt


def _question(row: Row[Any]) -> Question:
    return Question(**row._mapping)
