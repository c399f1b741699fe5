"""Tasks that agents ask for: never more than the agent itself may do."""

import math
from dataclasses import replace
from typing import Final

from orchestrator.commands.use import Agent, Use
from orchestrator.domain import cascade
from orchestrator.domain.errors import Conflict, NotFound, NotPermitted
from orchestrator.domain.profile import SYSTEM_DEFAULT, EffectiveProfile
from orchestrator.domain.task import NewTask, Task, TaskState
from orchestrator.domain.task_limits import limited
from orchestrator.domain.widening import widened
from orchestrator.store import family, profiles, tasks
from orchestrator.store.database import Transaction

CHILDREN: Final = 100
"""Tasks that the agents of one task may ask for: plenty for a plan, and the end of a loop."""

DEPTH: Final = 5
"""Generations below a task that a person asked for."""


def confined(tx: Transaction, use: Use, agent: Agent, new: NewTask) -> NewTask:
    """The task as this agent may ask for it: in its own project, under its own profile or one that grants
    nothing more, within its own limits, and never ahead of the task it works on.

    Raises NotPermitted naming what would be more, Conflict when the profile cannot be used.
    """
    if new.project_id != agent.project_id:
        raise NotPermitted(
            f"an agent asks for tasks in its own project, {agent.project_id}, and not in {new.project_id}",
            field="project_id",
        )
    parent = tasks.get(tx, agent.task_id)
    if parent is None:
        raise NotFound(f"task {agent.task_id} not found")
    _check_size(tx, parent)
    own = agent.effective
    child = replace(
        new,
        parent_id=parent.id,
        parent_attempt=agent.attempt,
        profile_id=new.profile_id or _named(own.profile_id),
        priority=max(new.priority, parent.priority),
        requires=tuple(sorted({*new.requires, *parent.requires})),
        timeout_seconds=_least(new.timeout_seconds, own.timeout_seconds),
        max_budget_usd=_least(new.max_budget_usd, own.max_budget_usd),
    )
    more = widened(_effective(tx, use, child), own)
    if more:
        wanted = child.profile_id or "of the project"
        raise NotPermitted(
            f"profile {wanted} grants more than {own.profile_id}, under which this agent works: "
            f"{', '.join(more)}. Name one that grants nothing more.",
            field="profile_id",
        )
    return child


def is_own(tx: Transaction, agent: Agent, task_id: str) -> bool:
    """Whether an agent may see this task: the one it works on, and those that its agents asked for."""
    return task_id == agent.task_id or family.parent_of(tx, task_id) == agent.task_id


def _check_size(tx: Transaction, parent: Task) -> None:
    if family.count_children(tx, parent.id) >= CHILDREN:
        raise Conflict(f"the agents of task {parent.id} have asked for {CHILDREN} tasks, as many as they may")
    if family.depth(tx, parent.id, most=DEPTH) >= DEPTH:
        raise Conflict(f"task {parent.id} is {DEPTH} generations from a person's; do the work in this task")


def _effective(tx: Transaction, use: Use, new: NewTask) -> EffectiveProfile:
    """What the task would run under now."""
    task = Task(
        id="",
        project_id=new.project_id,
        title=new.title,
        prompt=new.prompt,
        state=TaskState.READY,
        created_at=0.0,
        updated_at=0.0,
        profile_id=new.profile_id,
        timeout_seconds=new.timeout_seconds,
        max_budget_usd=new.max_budget_usd,
    )
    resolved = cascade.resolve(profiles.catalog_for(tx, task, defaults=use.defaults, ceiling=use.ceiling))
    if isinstance(resolved, cascade.Refusal):
        raise Conflict(resolved.message, field="profile_id")
    return limited(resolved.effective, task)


def _named(profile_id: str) -> str | None:
    """The profile as a task can name it: the built-in one is what holds where none is named."""
    return None if profile_id == SYSTEM_DEFAULT else profile_id


def _least(asked: float | None, own: float) -> float | None:
    least = own if asked is None else min(asked, own)
    return least if math.isfinite(least) else None
