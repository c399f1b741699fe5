"""Why a task is where it is, in sentences that say what would move it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from orchestrator.commands.visible import one_line
from orchestrator.domain.limit import Limit
from orchestrator.domain.project import Project
from orchestrator.domain.task import CLAIMED, TERMINAL, Task, TaskState

PASSING: Final = frozenset({"checkout_busy"})
"""Holds that end with another attempt. Every other one waits for somebody to correct what it names."""

ANSWER: Final = 200
"""Characters of how it ended that a reason tells; the task has all of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One thing that keeps a task from starting, or the state it rests in. `code` is stable, for programs."""

    code: str
    message: str
    needs_person: bool = False
    """Whether it stays so until somebody corrects something; else time or other tasks move it on."""
    until: float | None = None
    """When it is looked at again by itself, Unix seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What decides when a task starts, read in one transaction."""

    task: Task
    project: Project
    unmet: tuple[tuple[str, TaskState], ...] = ()
    """Its dependencies that have not completed."""
    ahead: int = 0
    """Tasks of its project that would be taken before it."""
    running: int = 0
    """Attempts of its project under way."""
    spent_usd: float = 0.0
    """By its project since midnight UTC."""
    refused: Task | None = None
    """Another task, whose agent's service refused its credentials; those of the same agent wait with it."""
    full: tuple[Limit, ...] = ()
    """Limits over all hosts that leave it no room now."""
    backoff: str | None = None
    """What its provider said when it asked to be left alone for a while."""
    backoff_until: float | None = None
    unable: tuple[str, ...] = ()
    """Hosts that lack something which it needs, each with what that is."""
    spent_tokens: int = 0
    """By its project since midnight UTC."""
    fleet: tuple[frozenset[str], ...] = ()
    """The labels of each worker that was heard of lately and does not drain."""
    workers: int = 0
    """Workers that have been heard of lately and do not drain."""
    slots: int = 0
    """Attempts that those of them can have at once which may take the task."""
    busy: int = 0
    """Attempts that these have under way, of all projects."""


def reasons(facts: Facts, *, now: float) -> tuple[Reason, ...]:
    """Every reason, the one to look at first in front."""
    return tuple(_reasons(facts, now))


def _reasons(facts: Facts, now: float) -> Iterator[Reason]:
    task = facts.task
    if task.state in TERMINAL:
        said = one_line(task.result or "", ANSWER)
        yield Reason(code="ended", message=f"It has ended: {task.state}. {said}".strip())
    elif task.state in CLAIMED:
        yield _running(task)
    elif task.state is TaskState.WAITING_INPUT:
        yield _question(task, now)
    elif task.state is TaskState.PAUSED:
        aside = "A person put it aside." + _until(task.run_at, now)
        yield Reason(code="paused", message=aside, needs_person=task.run_at is None, until=task.run_at)
    elif task.state is TaskState.BLOCKED:
        why = task.result or "A task it depends on did not complete."
        way_out = f"{why} `orchestrator task retry {task.id}` takes it up again."
        yield Reason(code="blocked", message=way_out, needs_person=True)
    else:
        yield from _own(facts, now)
        yield from _of_project(facts)
        yield from _over_all_hosts(facts, now)
        yield from _of_workers(facts, now)


def _own(facts: Facts, now: float) -> Iterator[Reason]:
    task = facts.task
    if task.hold is not None:
        again = _until(task.hold_until, now).strip()
        message = (task.hold_message or f"It is held: {task.hold}.").rstrip()
        yield Reason(
            code=task.hold,
            message=f"{message} {again}".rstrip(),
            needs_person=task.hold not in PASSING,
            until=task.hold_until,
        )
    elif (other := facts.refused) is not None:
        why = f"{(other.hold_message or '').rstrip()} That was task {other.id}; this one waits with it."
        again = _until(other.hold_until, now)
        yield Reason(
            code="provider_refused", message=why.lstrip() + again, needs_person=True, until=other.hold_until
        )
    if task.run_at is not None and task.run_at > now:
        not_yet = f"Its time has not come.{_until(task.run_at, now)}"
        yield Reason(code="run_at", message=not_yet, until=task.run_at)
    for needed, state in facts.unmet:
        yield Reason(code="dependency", message=f"It depends on task {needed}, which is {state}.")


def _of_project(facts: Facts) -> Iterator[Reason]:
    project = facts.project
    if project.paused:
        way_out = f"`orchestrator project resume {project.id}` starts its tasks again"
        paused = f"Project {project.id} is paused; {way_out}."
        yield Reason(code="project_paused", message=paused, needs_person=True)
    if project.max_concurrent is not None and facts.running >= project.max_concurrent:
        yield Reason(
            code="project_limit",
            message=f"Project {project.id} runs {facts.running} attempts, as many as it may.",
        )
    if project.budget_usd_per_day is not None and facts.spent_usd >= project.budget_usd_per_day:
        yield Reason(
            code="project_budget",
            message=f"Project {project.id} has spent ${facts.spent_usd:.2f} since midnight UTC, its "
            f"budget is ${project.budget_usd_per_day:.2f} a day; its tasks go on at midnight UTC.",
        )

    if project.budget_tokens_per_day is not None and facts.spent_tokens >= project.budget_tokens_per_day:
        yield Reason(
            code="project_budget",
            message=f"Project {project.id} has used {facts.spent_tokens:,} tokens since midnight UTC, its "
            f"budget is {project.budget_tokens_per_day:,} a day.",
        )


def _over_all_hosts(facts: Facts, now: float) -> Iterator[Reason]:
    for limit in facts.full:
        if limit.max_concurrent is not None:
            said = f"The limit of {limit.title}, {limit.max_concurrent} at once, is reached."
            yield Reason(code=f"{limit.scope}_limit", message=said)
        else:
            amount = (
                f"${limit.budget_usd_per_day:.2f}"
                if limit.budget_usd_per_day is not None
                else f"{limit.budget_tokens_per_day:,} tokens"
            )
            yield Reason(
                code="instance_budget",
                message=f"All projects together have spent the budget of a day (UTC), {amount}.",
            )
    if facts.backoff is not None:
        yield Reason(code="provider", message=f"{facts.backoff}{_until(facts.backoff_until, now)}")


def _of_workers(facts: Facts, now: float) -> Iterator[Reason]:
    if facts.workers == 0:
        yield Reason(code="no_worker", message="No worker is alive; start one with `orchestrator up`.")
    elif (missing := _label_missing(facts)) is not None:
        yield missing
    elif facts.busy >= facts.slots:
        taken = f"All {facts.slots} slots of the workers that may take it are taken."
        yield Reason(code="slots_busy", message=taken)
    due = facts.task.run_at is None or facts.task.run_at <= now
    if facts.task.state is TaskState.READY and facts.task.hold is None and due:
        if facts.unable:
            lacking = ", ".join(facts.unable)
            yield Reason(code="not_here", message=f"Left to other hosts than {lacking}.")
        place = "It is next" if facts.ahead == 0 else f"It is number {facts.ahead + 1}"
        yield Reason(code="queue", message=f"{place} in the queue of project {facts.project.id}.")


def _label_missing(facts: Facts) -> Reason | None:
    required = {*facts.task.requires, *facts.project.requires}
    if not required or any(required <= labels for labels in facts.fleet):
        return None
    nowhere = sorted(required - frozenset().union(*facts.fleet)) or sorted(required)
    names = f"label {nowhere[0]}" if len(nowhere) == 1 else f"labels {', '.join(nowhere)}"
    return Reason(
        code="no_worker_with_label",
        message=f"No worker with {names} is alive; start one whose `worker.labels` names it.",
    )


def _running(task: Task) -> Reason:
    if task.cancel_requested:
        return Reason(code="cancelling", message="It is being cancelled: its worker stops the agent.")
    doing = "is about to start it" if task.state is TaskState.ASSIGNED else "runs it"
    return Reason(code="running", message=f"Worker {task.claimed_by} {doing}, attempt {task.attempt}.")


def _question(task: Task, now: float) -> Reason:
    asked = f"The agent asked: {(task.result or 'a question').rstrip()}"
    if task.answer_by is not None:
        asked += f" Unless somebody answers, it fails at {_clock(task.answer_by, now)}."
    return Reason(code="question", message=asked, needs_person=True, until=task.answer_by)


def _until(moment: float | None, now: float) -> str:
    """When it is looked at again, for people, or nothing."""
    if moment is None:
        return ""
    return f" Next look at {_clock(moment, now)}."


def _clock(moment: float, now: float) -> str:
    clock = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    seconds = max(moment - now, 0)
    for limit, unit, size in ((100, "s", 1), (100 * 60, "min", 60), (48 * 3600, "h", 3600)):
        if seconds < limit:
            return f"{clock}, in {seconds / size:.0f} {unit}"
    return f"{clock}, in {seconds / 86_400:.0f} days"
