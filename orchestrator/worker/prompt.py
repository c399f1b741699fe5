"""What the agent is told: the task, and what its earlier attempts came to."""

from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator.domain.attempt import Attempt
from orchestrator.domain.context import TaskContext
from orchestrator.domain.mcp import McpServer
from orchestrator.domain.profile import EffectiveProfile
from orchestrator.domain.question import Question
from orchestrator.domain.task import Task

NOTE_LIMIT: Final = 2000
"""Characters of an earlier attempt's message that are passed on."""

UNTOLD: Final = frozenset(
    {
        "asked",
        "completed",
        "cancelled",
        "held",
        "not_here",
        "authentication_failed",
        "start_refused",
        "rate_limited",
    }
)
"""Ends of earlier attempts that are no news to the next one: nothing of the work had to do with them."""

NOT_BEGUN: Final = frozenset({"held", "not_here", "start_refused", "authentication_failed"})
"""Ends of attempts in which the agent was told nothing."""

STOPPED: Final[Mapping[str, str]] = {
    "interrupted": "You were interrupted by a restart of the system that runs you",
    "lost": "The system that runs you stopped without warning",
    "rate_limited": "The model's service had reached its limit of requests, and takes them again now",
    "overloaded": "The model's service was overloaded",
    "api_failed": "The model's service failed in the middle of your work",
    "max_turns": "You had reached your limit of turns, and a person asked you to go on",
    "budget_spent": "You had spent your budget, and a person asked you to go on",
    "asked": "You had asked a question that nobody answered, and a person asked you to go on without",
    "cancelled": "A person had cancelled the task, and asked for it again",
}
"""What a resumed session is told of how it was stopped, by the outcome of the attempt it goes on from."""

GO_ON: Final = (
    "this is the same session. Some of your last actions may have happened although you did not see their "
    "results. Look at the present state first, then carry the task to its end."
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
    questions: Sequence[Question] = (),
) -> TaskContext:
    """The task as the agent is to see it.

    A fresh session is given the task, with a note of how earlier attempts ended; a resumed one already knows
    the task and is told to go on, with the answer when it had asked. `earlier` are the attempts before this
    one, in any order; `questions` those that they asked, in order.
    """
    return TaskContext(
        task_id=task.id,
        attempt=task.attempt,
        project_id=task.project_id,
        title=task.title,
        prompt=_resumed(task, earlier, questions) if resume_transcript else _fresh(task, earlier, questions),
        checkout=checkout,
        attempt_directory=attempt_directory,
        role_instructions=effective.system_prompt_suffix,
        mcp_servers=tuple(servers),
        session_id=session_id,
        resume_transcript=resume_transcript,
        secrets=secrets,
    )


def _fresh(task: Task, earlier: Sequence[Attempt], questions: Sequence[Question]) -> str:
    parts = [f"# {task.title}", task.prompt, _told(questions)]
    notes = retry_notes(earlier)
    if notes:
        parts.append(notes)
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())


def _resumed(task: Task, earlier: Sequence[Attempt], questions: Sequence[Question]) -> str:
    """Only the answer where nothing came between; else the answer may have been heard or not, and is told
    again with the rest."""
    last = questions[-1] if questions else None
    if last is None or last.answer is None:
        return _go_on(task, earlier)
    answer = f"You asked: {last.question}\n\nThe answer of a person: {last.answer}"
    between = [one for one in earlier if one.number > last.attempt and one.outcome not in NOT_BEGUN]
    return f"{_go_on(task, earlier)}\n\n{answer}" if between else answer


def _go_on(task: Task, earlier: Sequence[Attempt]) -> str:
    """What stopped the session: the last attempt in which the agent was told anything."""
    begun = {one.number: one.outcome for one in earlier if one.outcome and one.outcome not in NOT_BEGUN}
    stopped = STOPPED.get(begun[max(begun)], "You were interrupted") if begun else "You were interrupted"
    return f"{stopped}; {GO_ON}\n\nThe task: {task.title}"


def _told(questions: Sequence[Question]) -> str:
    """What earlier attempts asked and were answered, for one that does not remember it."""
    known = [one for one in questions if one.answer is not None]
    if not known:
        return ""
    pairs = "\n\n".join(f"Question: {one.question}\n\nAnswer: {one.answer}" for one in known)
    return f"## Questions already answered\n\n{pairs}"


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
