"""The budgets that concern a task, with what was spent of each."""

from sqlalchemy import Connection

from orchestrator.domain.budget import Budget
from orchestrator.domain.limit import Limit, LimitScope
from orchestrator.domain.project import Project
from orchestrator.domain.task import Task
from orchestrator.store import limits, spending
from orchestrator.store.load import DAY


def of_task(tx: Connection, task: Task, project: Project, *, now: float) -> tuple[Budget, ...]:
    """Those that have a limit: its own, its project's of the day (UTC), and the instance's."""
    midnight = now - now % DAY
    found: list[Budget] = []
    if task.max_budget_usd is not None or task.max_tokens is not None:
        found.append(
            Budget(
                of="task",
                title=f"the budget of task {task.id}",
                usd=task.max_budget_usd,
                tokens=task.max_tokens,
                spent=spending.of_task(tx, task.id),
            )
        )
    if project.budget_usd_per_day is not None or project.budget_tokens_per_day is not None:
        found.append(
            Budget(
                of="project_budget",
                title=f"the daily budget of project {project.id}",
                usd=project.budget_usd_per_day,
                tokens=project.budget_tokens_per_day,
                spent=spending.of_project(tx, project.id, since=midnight),
            )
        )
    if (whole := of_instance(tx, now=now)) is not None:
        found.append(whole)
    return tuple(found)


def of_instance(tx: Connection, *, now: float) -> Budget | None:
    """The daily budget of all projects together, if there is one."""
    limit = next((one for one in limits.list_limits(tx) if has_budget(one)), None)
    if limit is None:
        return None
    return Budget(
        of="instance_budget",
        title="the daily budget of all projects together",
        usd=limit.budget_usd_per_day,
        tokens=limit.budget_tokens_per_day,
        spent=spending.of_all(tx, since=now - now % DAY),
    )


def has_budget(limit: Limit) -> bool:
    numbers = (limit.budget_usd_per_day, limit.budget_tokens_per_day)
    return limit.scope is LimitScope.INSTANCE and any(number is not None for number in numbers)
