"""What waits for what: the dependencies of tasks, without cycles, and what an ending sets free."""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, delete, insert, select, text

from orchestrator.domain import lifecycle
from orchestrator.domain.errors import InvalidInput, NotFound
from orchestrator.domain.task import Task, TaskState
from orchestrator.store.queue import AMONG, among
from orchestrator.store.tables import task_dependencies as needs
from orchestrator.store.tables import tasks
from orchestrator.store.task_rows import COLUMNS, save, task_of

_FAILED = (TaskState.FAILED, TaskState.CANCELLED)

_WAITING: Final = {
    dialect: select(needs.c.task_id).where(text(f"depends_on {among_ids}")).distinct()
    for dialect, among_ids in AMONG.items()
}


def replace(tx: Connection, task_id: str, depends_on: Sequence[str]) -> dict[str, TaskState]:
    """Make `depends_on` all that the task depends on; answers with their states.
    Raises NotFound, or InvalidInput with the path of the cycle it would close."""
    found = states(tx, depends_on)
    if found and (path := _cycle(tx, task_id, list(found))):
        raise InvalidInput(f"depends_on would close a cycle: {' -> '.join(path)}", field="depends_on")
    tx.execute(delete(needs).where(needs.c.task_id == task_id))
    add(tx, task_id, found)
    return found


def add(tx: Connection, task_id: str, depends_on: Iterable[str]) -> None:
    """For a task that nothing depends on yet, so that it closes no cycle."""
    rows = [{"task_id": task_id, "depends_on": needed} for needed in depends_on]
    if rows:
        tx.execute(insert(needs), rows)


def states(tx: Connection, ids: Sequence[str]) -> dict[str, TaskState]:
    """The states of these tasks. Raises NotFound.

    The rows are locked: one that completes at this moment either is seen as completed here, or sees the
    dependency that is added next.
    """
    if not ids:
        return {}
    query = select(tasks.c.id, tasks.c.state).where(tasks.c.id.in_(ids)).order_by(tasks.c.id)
    found = {i: TaskState(state) for i, state in tx.execute(query.with_for_update(read=True))}
    for needed in ids:
        if needed not in found:
            raise NotFound(f"task {needed} not found", field="depends_on")
    return found


def of(tx: Connection, task_id: str) -> list[str]:
    query = select(needs.c.depends_on).where(needs.c.task_id == task_id).order_by(needs.c.depends_on)
    return list(tx.execute(query).scalars())


def unmet(tx: Connection, task_id: str) -> list[tuple[str, TaskState]]:
    """Those that have not completed, with their states."""
    query = (
        select(tasks.c.id, tasks.c.state)
        .join(needs, needs.c.depends_on == tasks.c.id)
        .where(needs.c.task_id == task_id, tasks.c.state != TaskState.COMPLETED.value)
        .order_by(tasks.c.id)
    )
    return [(needed, TaskState(state)) for needed, state in tx.execute(query)]


def after_ending(tx: Connection, ended: Iterable[str], *, now: float) -> list[Task]:
    """What became of the tasks that waited for these, which have just ended and been written so.

    Call it after the statement that wrote the ending, in the same transaction: only a later statement sees
    a dependency that was added while that one waited for the row.
    """
    ids = list(ended)
    waiting = list(tx.execute(_WAITING[tx.dialect.name], {"ids": among(tx, ids)}).scalars()) if ids else []
    if not waiting:
        return []
    # Locked first, looked at second: of two dependencies that complete at once, the later one then sees both.
    locked = (
        select(*COLUMNS)
        .where(tasks.c.id.in_(waiting), tasks.c.state == TaskState.DEFINED.value)
        .order_by(tasks.c.id)
        .with_for_update()
    )
    moved = []
    for task in [task_of(row) for row in tx.execute(locked)]:
        open_needs = unmet(tx, task.id)
        failed = [(needed, state) for needed, state in open_needs if state in _FAILED]
        if failed:
            needed, state = failed[0]
            message = f"Task {needed}, which it depends on, ended as {state}."
            blocked = lifecycle.block(task, now=now, message=message)
            moved.append(save(tx, task, blocked, "task.blocked", depends_on=needed))
        elif not open_needs:
            moved.append(save(tx, task, lifecycle.ready(task, now=now), "task.ready"))
    return moved


def after_retry(tx: Connection, task_id: str, *, now: float) -> list[Task]:
    """The tasks that were blocked because this one had failed wait for it again, unless another dependency
    of theirs stands failed. Call it once the retry is written.

    One that was put aside for killing its workers stays so: it ran, so all it depends on had completed.
    """
    dependents = select(needs.c.task_id).where(needs.c.depends_on == task_id)
    locked = (
        select(*COLUMNS)
        .where(tasks.c.id.in_(dependents), tasks.c.state == TaskState.BLOCKED.value)
        .order_by(tasks.c.id)
        .with_for_update()
    )
    return [
        save(tx, task, lifecycle.unblock(task, now=now), "task.unblocked", depends_on=task_id)
        for task in [task_of(row) for row in tx.execute(locked)]
        if not any(state in _FAILED for _, state in unmet(tx, task.id))
    ]


def _cycle(tx: Connection, task_id: str, wanted: Sequence[str]) -> list[str]:
    """The shortest way from a wanted dependency back to the task, from task to task; empty without one."""
    if task_id in wanted:
        return [task_id, task_id]
    came_from: dict[str, str] = dict.fromkeys(wanted, task_id)
    frontier = list(wanted)
    while frontier:
        query = select(needs.c.task_id, needs.c.depends_on).where(needs.c.task_id.in_(frontier))
        frontier = []
        for source, target in tx.execute(query.order_by(needs.c.task_id, needs.c.depends_on)):
            if target == task_id:
                path = [task_id, source]
                while path[-1] != task_id:
                    path.append(came_from[path[-1]])
                return path[::-1]
            if target not in came_from:
                came_from[target] = source
                frontier.append(target)
    return []
