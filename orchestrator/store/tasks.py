"""Tasks: asked for, found, listed, and moved by people. What workers do is in `queue`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection, Select, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.elements import ColumnElement

from orchestrator.domain import lifecycle
from orchestrator.domain.errors import AlreadyExists, IllegalTransition, InvalidInput, NotFound
from orchestrator.domain.task import CLAIMED as CLAIMED_STATES
from orchestrator.domain.task import NewTask, Task, TaskState
from orchestrator.store import dependencies as needs
from orchestrator.store.conditions import CLAIMABLE, CLAIMED, DEMANDING, HELD
from orchestrator.store.outbox import announce, mark_changed
from orchestrator.store.tables import agent_profiles, archived_tasks, projects, tasks
from orchestrator.store.task_rows import COLUMNS, NAMES, locked, save, task_event, task_of, values_of

EXCERPT: Final = 400
"""Characters of prompt and result that a list shows; a task's may be megabytes."""


# Built once: building a statement takes longer than SQLite takes to run it.
_INSERT: Final = sa.insert(tasks)
_KNOWN: Final = {
    table.name: select(table.c.id).where(table.c.id == sa.bindparam("wanted"))
    for table in (projects, agent_profiles)
}


def create(tx: Connection, new: NewTask, *, task_id: str, now: float) -> Task:
    """Queue a task: READY, or DEFINED until its dependencies have completed.

    Raises NotFound for the project, the profile or a dependency, AlreadyExists, InvalidInput.
    """
    _check(tx, projects, new.project_id, "project_id")
    _check(tx, agent_profiles, new.profile_id, "profile_id")
    states = needs.states(tx, new.depends_on)
    task = Task(
        id=task_id,
        project_id=new.project_id,
        title=storable(new.title, "title"),
        prompt=storable(new.prompt, "prompt"),
        state=TaskState.READY if _met(states) else TaskState.DEFINED,
        created_at=now,
        updated_at=now,
        profile_id=new.profile_id,
        priority=new.priority,
        run_at=_later(new.run_at, now),
        max_attempts=new.max_attempts,
        timeout_seconds=new.timeout_seconds,
        max_budget_usd=new.max_budget_usd,
        labels=_labels(new.labels),
        parent_id=new.parent_id,
        parent_attempt=new.parent_attempt,
        schedule_id=new.schedule_id,
        scheduled_for=new.scheduled_for,
        requires=tuple(sorted(set(new.requires))),
        max_tokens=new.max_tokens,
    )
    try:
        tx.execute(_INSERT, values_of(task))
    except IntegrityError as error:
        raise AlreadyExists(f"task {task_id} already exists", field="id") from error
    announce(tx, task_event("task.created", task, at=now, title=task.title))
    mark_changed(tx)
    needs.add(tx, task_id, states)
    return _settled(tx, task, states, now=now)


def get(tx: Connection, task_id: str) -> Task | None:
    row = tx.execute(select(*COLUMNS).where(tasks.c.id == task_id)).first()
    return None if row is None else task_of(row)


def find_ids(tx: Connection, fragment: str, *, limit: int) -> list[str]:
    """Ids that begin with the fragment, else those that end with it, in order."""
    beginning = (tasks.c.id >= fragment) & (tasks.c.id < fragment + "\U0010ffff")
    for fits in (beginning, tasks.c.id.endswith(fragment, autoescape=True)):
        found = list(tx.execute(select(tasks.c.id).where(fits).order_by(tasks.c.id).limit(limit)).scalars())
        if found:
            return found
    return []


def list_tasks(
    tx: Connection,
    *,
    project_id: str | None = None,
    states: Collection[TaskState] | None = None,
    profile_id: str | None = None,
    labels: Mapping[str, str] | None = None,
    parent_id: str | None = None,
    schedule_id: str | None = None,
    before: str | None = None,
    limit: int = 100,
    archived: bool = False,
) -> list[Task]:
    """Newest first, those after the task `before`; prompts and results are cut to `EXCERPT` characters.
    Those of the archive only, or those that are not in it."""
    shortened = {"prompt", "result"}
    of = archived_tasks if archived else tasks
    columns = [
        func.substr(column, 1, EXCERPT, type_=column.type).label(column.key)
        if column.key in shortened
        else column
        for column in (of.c[name] for name in NAMES)
    ]
    query = select(*columns).order_by(of.c.created_at.desc(), of.c.id.desc()).limit(limit)
    if project_id is not None:
        query = query.where(of.c.project_id == project_id)
    if states:
        query = query.where(of.c.state.in_([state.value for state in states]))
    if profile_id is not None:
        query = query.where(of.c.profile_id == profile_id)
    if parent_id is not None:
        query = query.where(of.c.parent_id == parent_id)
    if schedule_id is not None:
        query = query.where(of.c.schedule_id == schedule_id)
    for key, value in (labels or {}).items():
        query = query.where(_labelled(tx, of, key, value))
    if before is not None:
        query = _older(tx, of, query, before)
    return [task_of(row) for row in tx.execute(query)]


def edit(tx: Connection, task: Task, fields: Mapping[str, Any], *, now: float) -> Task:
    """Change the named fields of a `NewTask`; its project stays. Raises NotFound or InvalidInput."""
    old = locked(tx, task.id)
    wanted = dict(fields)
    depends_on: Sequence[str] | None = wanted.pop("depends_on", None)
    for name in ("title", "prompt"):
        if name in wanted:
            wanted[name] = storable(wanted[name], name)
    if "requires" in wanted:
        wanted["requires"] = tuple(sorted(set(wanted["requires"])))
    if "labels" in wanted:
        wanted["labels"] = _labels(wanted["labels"])
    if "profile_id" in wanted:
        _check(tx, agent_profiles, wanted["profile_id"], "profile_id")
        wanted["parent_attempt"] = None  # only people edit: whoever names the profile answers for it
    if "run_at" in wanted:
        wanted["run_at"] = _later(wanted["run_at"], now)
    if old.state not in CLAIMED_STATES:
        # What held it may have been what is changed here.
        wanted |= {"hold": None, "hold_message": None, "hold_until": None}
    new = save(tx, old, replace(old, **wanted, updated_at=now), "task.updated", fields=sorted(fields))
    if depends_on is None:
        return new
    states = needs.replace(tx, task.id, depends_on)
    if new.state is TaskState.READY and not _met(states):
        # There is no way back from READY but through a person's hands, and this is one.
        paused = lifecycle.pause(new, now=now)
        again = replace(lifecycle.resume(paused, now=now, dependencies_met=False), run_at=new.run_at)
        new = save(tx, new, again, "task.waiting")
    return _settled(tx, new, states, now=now)


def cancel(tx: Connection, task_id: str, *, now: float) -> Task:
    """Cancelled, or asked to be while an agent runs. Raises NotFound or IllegalTransition."""
    old = locked(tx, task_id)
    new = lifecycle.cancel(old, now=now)
    if new.state is not TaskState.CANCELLED:
        return save(tx, old, new, "task.cancel_requested")
    save(tx, old, new, "task.cancelled")
    needs.after_ending(tx, [task_id], now=now)
    return new


def retry(tx: Connection, task_id: str, *, now: float) -> Task:
    """Tried again, as if no attempt had been lost yet; what was blocked because it had failed waits for it
    again. Raises NotFound, or IllegalTransition, also while something it depends on has failed: it would wait
    for ever."""
    old = locked(tx, task_id)
    states = needs.states(tx, needs.of(tx, task_id))
    if failed := _failed(states):
        raise IllegalTransition(
            f"task {task_id} depends on {failed}, which ended as {states[failed]}. Retry that one, and this "
            f"one follows; or change what it depends on."
        )
    met = _met(states)
    new = save(tx, old, lifecycle.retry(old, now=now, dependencies_met=met), "task.retried")
    tx.execute(sa.update(tasks).where(tasks.c.id == task_id).values(retried_after=old.attempt))
    needs.after_retry(tx, task_id, now=now)
    return new


def pause(tx: Connection, task_id: str, *, now: float, until: float | None = None) -> Task:
    """Raises NotFound or IllegalTransition."""
    old = locked(tx, task_id)
    return save(tx, old, lifecycle.pause(old, now=now, until=until), "task.paused", until=until)


def resume(tx: Connection, task_id: str, *, now: float) -> Task:
    """Raises NotFound or IllegalTransition."""
    old = locked(tx, task_id)
    states = needs.states(tx, needs.of(tx, task_id))
    new = save(tx, old, lifecycle.resume(old, now=now, dependencies_met=_met(states)), "task.resumed")
    # What it depends on may have failed while it was put aside.
    return _settled(tx, new, states, now=now)


def reconsider(tx: Connection, *, project_id: str | None = None, holds: Collection[str] | None = None) -> int:
    """Lift the holds, of one project or of all, because what they rest on may have changed; a worker
    decides anew. `holds` names those that are meant. Answers with how many there were."""
    held = sa.update(tasks).where(text(HELD)).values(hold=None, hold_message=None, hold_until=None)
    if project_id is not None:
        held = held.where(tasks.c.project_id == project_id)
    if holds is not None:
        held = held.where(tasks.c.hold.in_(holds))
    lifted = tx.execute(held).rowcount
    if lifted:
        mark_changed(tx)
    return lifted


def held_longest(tx: Connection, reason: str, *, now: float) -> Task | None:
    """Of the tasks held for this reason now, the one that is looked at last."""
    query = select(tasks.c.id).where(text(HELD), tasks.c.hold == reason, tasks.c.hold_until > now)
    found = tx.execute(query.order_by(tasks.c.hold_until.desc()).limit(1)).scalar()
    return None if found is None else get(tx, found)


def dependencies(tx: Connection, task_id: str) -> list[str]:
    return needs.of(tx, task_id)


def unmet_dependencies(tx: Connection, task_id: str) -> list[tuple[str, TaskState]]:
    """Those that have not completed, with their states."""
    return needs.unmet(tx, task_id)


def count_ahead(tx: Connection, task: Task) -> int:
    """How many tasks of its project would be taken before it."""
    place = sa.tuple_(tasks.c.priority, tasks.c.created_at, tasks.c.id)
    before = place < sa.tuple_(task.priority, task.created_at, task.id)
    alike = text(DEMANDING if task.requires else CLAIMABLE)
    query = select(func.count()).where(alike, tasks.c.project_id == task.project_id, before)
    return tx.execute(query.select_from(tasks)).scalar_one()


def count_claimed(
    tx: Connection, *, project_id: str | None = None, workers: Sequence[str] | None = None
) -> int:
    """How many tasks workers have now, of one project or of all; all workers, or those with these ids."""
    query = select(func.count()).select_from(tasks).where(text(CLAIMED))
    if project_id is not None:
        query = query.where(tasks.c.project_id == project_id)
    if workers is not None:
        query = query.where(tasks.c.claimed_by.in_(workers))
    return tx.execute(query).scalar_one()


def storable(value: str, field: str) -> str:
    """The text, if a database can hold it exactly. Raises InvalidInput."""
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InvalidInput(f"{field} must not contain NUL or unpaired surrogates", field=field)
    return value


def _settled(tx: Connection, task: Task, states: Mapping[str, TaskState], *, now: float) -> Task:
    """A DEFINED task moved on to where its dependencies put it."""
    if task.state is not TaskState.DEFINED:
        return task
    if failed := _failed(states):
        message = f"Task {failed}, which it depends on, ended as {states[failed]}."
        return save(tx, task, lifecycle.block(task, now=now, message=message), "task.blocked")
    if _met(states):
        return save(tx, task, lifecycle.ready(task, now=now), "task.ready")
    return task


def _failed(states: Mapping[str, TaskState]) -> str | None:
    """The first that ended without success; `None` when all may still complete."""
    gone = (TaskState.FAILED, TaskState.CANCELLED)
    return next((needed for needed, state in states.items() if state in gone), None)


def _met(states: Mapping[str, TaskState]) -> bool:
    return all(state is TaskState.COMPLETED for state in states.values())


def _later(run_at: float | None, now: float) -> float | None:
    return run_at if run_at is not None and run_at > now else None


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {storable(key, "labels"): storable(value, "labels") for key, value in labels.items()}


def _check(tx: Connection, table: sa.Table, wanted: str | None, field: str) -> None:
    if wanted is not None and tx.execute(_KNOWN[table.name], {"wanted": wanted}).first() is None:
        raise NotFound(f"{field.removesuffix('_id')} {wanted} not found", field=field)


def _labelled(tx: Connection, of: sa.Table, key: str, value: str) -> ColumnElement[bool]:
    if tx.dialect.name == "postgresql":
        fits: ColumnElement[bool] = sa.cast(of.c.labels, sa.JSON)[key].as_string() == value
        return fits
    each = func.json_each(of.c.labels).table_valued("key", "value")
    return sa.exists().where(each.c.key == key, each.c.value == value)


def _older(tx: Connection, of: sa.Table, query: Select[Any], before: str) -> Select[Any]:
    at = tx.execute(select(of.c.created_at).where(of.c.id == before)).scalar()
    if at is None:
        raise NotFound(f"task {before} not found", field="before")
    return query.where(sa.tuple_(of.c.created_at, of.c.id) < sa.tuple_(at, before))
