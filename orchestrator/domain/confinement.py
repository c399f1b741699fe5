"""Tasks that agents ask for, when they start: never more than the agent that asked could do."""

from dataclasses import replace
from typing import Final

from orchestrator.domain import cascade
from orchestrator.domain.attempt import Attempt
from orchestrator.domain.cascade import Refusal, Resolution
from orchestrator.domain.catalog import Catalog
from orchestrator.domain.effective import from_json
from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.profile import SYSTEM_DEFAULT, EffectiveProfile
from orchestrator.domain.task import Task
from orchestrator.domain.task_limits import limited
from orchestrator.domain.widening import widened

WIDER_THAN_CALLER: Final = "profile_wider_than_caller"

OWN_LIMITS: Final = ("timeout_seconds", "max_budget_usd")
"""Fixed with the task when it was asked for; only a person has changed them since."""


def resolve_for(task: Task, catalog: Catalog, *, caller: Attempt | None) -> Resolution | Refusal:
    """What the task runs under: the profile that governs it, within its own limits and, where the agent of
    the attempt `caller` asked for it, within what that attempt was granted."""
    resolved = cascade.resolve(catalog)
    if isinstance(resolved, Refusal):
        return resolved
    resolution = replace(resolved, effective=limited(resolved.effective, task))
    return exceeding(task, resolution, caller) or resolution


def exceeding(task: Task, resolution: Resolution, caller: Attempt | None) -> Refusal | None:
    """Why the task may not start under this profile: it grants what the attempt that asked for the task was
    not granted. `caller` is that attempt, as it is kept; without it nothing can be compared, and the task
    does not start. `None` when it may start, as everything may that a person asked for or vouched for.
    """
    if task.parent_attempt is None:
        return None
    known = _granted(caller)
    effective = resolution.effective
    asked = f"attempt {task.parent_attempt} of task {task.parent_id}, whose agent asked for this task"
    if known is None:
        why = f"What {asked}, was granted is no longer known, so this task cannot be held to it."
    else:
        more = [name for name in widened(effective, known) if name not in OWN_LIMITS]
        if not more:
            return None
        why = f"Profile {effective.profile_id} now grants more than {asked}, was granted: {', '.join(more)}."
    return Refusal(
        reason=WIDER_THAN_CALLER,
        profile_id=resolution.profile_id,
        message=f"{why} Narrow the profile, or vouch for the task: `orchestrator task edit {task.id} "
        f"--profile {_named(resolution.profile_id)}`, after which it runs as a person's.",
    )


def _granted(caller: Attempt | None) -> EffectiveProfile | None:
    if caller is None or caller.snapshot is None:
        return None
    try:
        return from_json(caller.snapshot.effective)
    except InvalidInput:  # kept by a version that knew fewer fields
        return None


def _named(profile_id: str) -> str:
    """The profile as it is named on the command line; the built-in one cannot be."""
    return "ID" if profile_id == SYSTEM_DEFAULT else profile_id
