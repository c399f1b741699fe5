"""A task's own limits, laid over the profile it runs under."""

from dataclasses import replace

from orchestrator.domain.profile import EffectiveProfile
from orchestrator.domain.task import Task

ORIGIN = "task"


def limited(effective: EffectiveProfile, task: Task) -> EffectiveProfile:
    """The profile with the task's limits where these are tighter; a task never gets more than its profile."""
    asked = {"timeout_seconds": task.timeout_seconds, "max_budget_usd": task.max_budget_usd}
    tighter = {
        name: limit for name, limit in asked.items() if limit is not None and limit < getattr(effective, name)
    }
    if not tighter:
        return effective
    origins = {**effective.origins, **dict.fromkeys(tighter, ORIGIN)}
    return replace(effective, **tighter, origins=origins)  # type: ignore[arg-type]  # both are numbers
