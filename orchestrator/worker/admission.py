"""May it start now? What a profile, a checkout or a provider says about each waiting task."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from orchestrator.domain.candidate import Candidate
from orchestrator.domain.provider import Backoff

Key = tuple[str, str | None]
"""A project and the profile that a task names: tasks that agree in both resolve alike."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What resolving a profile says: what runs it, as which profile and model, or why it may not run."""

    harness: str | None = None
    profile_id: str | None = None
    model: str | None = None
    reason: str | None = None
    message: str = ""
    secrets: frozenset[str] = frozenset()
    """That its required servers refer to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is known at the time of the decision.

    `verdicts` has every key among the candidates. `directories` names the directory of each project that
    works in one of its own, `busy` those in which an attempt is running now. `backoffs` are by harness.
    """

    now: float
    verdicts: Mapping[Key, Verdict]
    harnesses: frozenset[str]
    lacking: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Labels that a project requires and this worker has not, by project."""
    directories: Mapping[str, str] = field(default_factory=dict)
    busy: frozenset[str] = frozenset()
    backoffs: Mapping[str, Backoff] = field(default_factory=dict)
    elsewhere: Mapping[str, "Hold"] = field(default_factory=dict)
    """By task, why it does not start on this host while others are there."""
    rules: int = 0
    """Version of the rules that the verdicts are of."""
    spent: bool = False
    """Whether the daily budget of all projects together is."""
    recheck_seconds: float = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """Why a task cannot start now. `until` is when it is looked at again unasked; `None` is at the next turn,
    and such a hold is not stored: it passes by itself, and a whole backlog may share it."""

    task_id: str
    reason: str
    message: str
    until: float | None = None


def admissible(candidates: Iterable[Candidate], facts: Facts) -> tuple[list[Candidate], list[Hold]]:
    """Split the candidates into those that may start and those held, each with its reason.

    A directory takes one attempt at a time, so only the first candidate for it is admitted, in the order of
    priority, age and id.
    """
    admitted: list[Candidate] = []
    holds: list[Hold] = []
    taken, elsewhere = set(facts.busy), facts.elsewhere
    ready, verdicts, directories, lacking = _ready(facts), facts.verdicts, facts.directories, facts.lacking
    for task in sorted(candidates, key=_order):
        project = task.project_id
        verdict = verdicts[project, task.profile_id]
        directory = directories.get(project)
        # Most tasks of a long backlog pass here: what may hold one is only then asked for by its reason.
        if (
            verdict.harness not in ready
            or verdict.reason is not None
            or project in lacking
            or directory in taken
            or task.id in elsewhere
        ):
            hold = (
                _unlabelled(task, facts)
                or elsewhere.get(task.id)
                or _refused(task, verdict, facts)
                or _waits(task, verdict, facts, taken)
            )
            if hold is not None:
                holds.append(hold)
                continue
        if directory:
            taken.add(directory)
        admitted.append(task)
    return admitted, holds


_order = attrgetter("priority", "created_at", "id")


def _ready(facts: Facts) -> frozenset[str]:
    """The harnesses that are here and whose provider may be asked."""
    if facts.spent:
        return frozenset()
    return facts.harnesses - {name for name, one in facts.backoffs.items() if one.until > facts.now}


def _unlabelled(task: Candidate, facts: Facts) -> Hold | None:
    lacking = facts.lacking.get(task.project_id)
    if not lacking:
        return None
    message = f"Project {task.project_id} requires labels that this worker has not: {', '.join(lacking)}."
    return Hold(task_id=task.id, reason="label_missing", message=message)


def _refused(task: Candidate, verdict: Verdict, facts: Facts) -> Hold | None:
    later = facts.now + facts.recheck_seconds
    if verdict.reason is not None:
        return Hold(task_id=task.id, reason=verdict.reason, message=verdict.message, until=later)
    if verdict.harness not in facts.harnesses:
        there = ", ".join(sorted(facts.harnesses)) or "none"
        message = (
            f"This worker has no harness {verdict.harness!r}, only: {there}. Correct the profile's harness."
        )
        return Hold(task_id=task.id, reason="harness_missing", message=message, until=later)
    return None


def _waits(task: Candidate, verdict: Verdict, facts: Facts, taken: set[str]) -> Hold | None:
    if facts.spent:
        message = "The daily budget of all projects together is spent."
        return Hold(task_id=task.id, reason="instance_budget", message=message)
    backoff = facts.backoffs.get(verdict.harness or "")
    if backoff is not None and backoff.until > facts.now:
        return Hold(task_id=task.id, reason=backoff.reason, message=backoff.message)
    directory = facts.directories.get(task.project_id)
    if directory in taken:
        message = f"Another attempt is at work in {directory}, which takes one at a time."
        return Hold(task_id=task.id, reason="checkout_busy", message=message)
    return None
