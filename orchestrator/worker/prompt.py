"""What the agent is told: the task, and what its earlier attempts came to."""

from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator.domain.attempt import Attempt
from orchestrator.domain.context import TaskContext
from orchestrator.domain.mcp import McpServer
from orchestrator.domain.profile import EffectiveProfile
from orchestrator.domain.task import Task

NOTE_LIMIT: Final = 2000
"""Characters of an earlier attempt's message that are passed on."""

UNTOLD: Final = frozenset(
    {"completed", "cancelled", "held", "authentication_failed", "start_refused", "rate_limited"}
)
"""Ends of earlier attempts that are no news to the next one: nothing of the work had to do with them."""

GO_ON: Final = (
    "You were interrupted by a restart of the system that runs you; this is the same session. Some of your "
    "last actions may have happened although you did not see their results. Look at the present state first, "
    "then carry the task to its end."
)


def task_context(
    task: Task,
    effective: EffectiveProfile,
    *,
    servers: Sequence[McpServer],
    checkout: str,
    attempt_directory: str,
    session_id: str,
    resume_transcript: str | None,
    earlier: Sequence[Attempt],
    secrets: Mapping[str, str],
) -> TaskContext:
    """The task as the agent is to see it.

    A fresh session is given the task, with a note of how earlier attempts ended; a resumed one already knows
    the task and is told to go on. `earlier` are the attempts before this one, in any order.
    """
    return TaskContext(
        task_id=task.id,
        attempt=task.attempt,
        project_id=task.project_id,
        title=task.title,
        prompt=_resumed(task) if resume_transcript else _fresh(task, earlier),
        checkout=checkout,
        attempt_directory=attempt_directory,
        role_instructions=effective.system_prompt_suffix,
        mcp_servers=tuple(servers),
        session_id=session_id,
        resume_transcript=resume_transcript,
        secrets=secrets,
    )


def _fresh(task: Task, earlier: Sequence[Attempt]) -> str:
    parts = [f"# {task.title}", task.prompt]
    notes = retry_notes(earlier)
    if notes:
        parts.append(notes)
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())


def _resumed(task: Task) -> str:
    return f"{GO_ON}\n\nThe task: {task.title}"


def retry_notes(earlier: Sequence[Attempt]) -> str:
    """A section on the earlier attempts that failed, the latest last; empty when there were none."""
    told = [a for a in earlier if a.ended_at is not None and a.outcome and a.outcome not in UNTOLD]
    if not told:
        return ""
    lines = [_note(attempt) for attempt in sorted(told, key=lambda a: a.number)]
    return (
        "## Earlier attempts\n\nThis task was tried before, and the directory may hold what those attempts "
        "left. Check what is already done before you do it again.\n\n" + "\n".join(lines)
    )


def _note(attempt: Attempt) -> str:
    message = " ".join((attempt.message or "").split())
    if len(message) > NOTE_LIMIT:
        message = message[:NOTE_LIMIT] + "..."
    ended = (attempt.outcome or "").replace("_", " ")
    return f"- Attempt {attempt.number} ended: {ended}." + (f" {message}" if message else "")
