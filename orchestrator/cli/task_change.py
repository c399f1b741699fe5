"""`orchestrator task add`, `edit`, `cancel`, `retry`."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output, times, watch
from orchestrator.cli.hints import typed
from orchestrator.cli.options import current
from orchestrator.cli.prompt import prompt_of
from orchestrator.cli.session import call, use
from orchestrator.cli.whole import WHOLE
from orchestrator.commands import tasks
from orchestrator.domain.errors import InvalidInput

Task = Annotated[str, Parameter(help="Id of the task, or at least 4 characters of its beginning or end.")]
Prompt = Annotated[
    str | None,
    Parameter(help="The same, may begin with a hyphen; - reads stdin.", allow_leading_hyphen=True),
]
PromptFile = Annotated[Path | None, Parameter(help="A file with the prompt; - is stdin.")]
Title = Annotated[str | None, Parameter(help="A name for the lists; absent: the prompt's beginning.")]
Profile = Annotated[str | None, Parameter(help="Profile; absent: the project's default.")]
Priority = Annotated[int | None, WHOLE, Parameter(help="Lower goes first; 100 unless given.")]
After = Annotated[list[str] | None, Parameter(name="--after", help="Task to wait for; repeatable.")]
RunAt = Annotated[str | None, Parameter(help="Not before this time: +15m or 2031-05-01T08:00.")]
MaxAttempts = Annotated[int | None, WHOLE, Parameter(help="Tries before it fails; 3 unless given.")]
Timeout = Annotated[str | None, Parameter(help="Length of one attempt at most: 15m, 2h.")]
Budget = Annotated[float | None, Parameter(help="Spend of all its attempts at most, in USD.")]
Tokens = Annotated[int | None, WHOLE, Parameter(help="Tokens of all its attempts at most.")]
Requires = Annotated[list[str] | None, Parameter(help="A label that its worker must have; repeatable.")]
Label = Annotated[list[str] | None, Parameter(help="name=value; repeatable.")]
Clear = Annotated[
    list[str] | None,
    Parameter(help="A field to clear: profile, run-at, timeout, budget, tokens, after, label, requires."),
]


def add(
    text: Annotated[str | None, Parameter(help="What the agent is to do.")] = None,
    /,
    *,
    prompt: Prompt = None,
    prompt_file: PromptFile = None,
    title: Title = None,
    project: Annotated[str | None, Parameter(help="Absent: the only project there is.")] = None,
    profile: Profile = None,
    priority: Priority = None,
    after: After = None,
    run_at: RunAt = None,
    max_attempts: MaxAttempts = None,
    timeout: Timeout = None,
    budget: Budget = None,
    tokens: Tokens = None,
    label: Label = None,
    requires: Requires = None,
    wait: Annotated[
        bool, Parameter(help="Follow it until it ends, as `task watch` does.", negative=())
    ] = False,
) -> int:
    """Ask for a task."""
    wanted = {
        "prompt": prompt_of(text, prompt, prompt_file),
        "title": title,
        "project_id": project,
        "profile_id": profile,
        "max_tokens": tokens,
        "requires": None if requires is None else tuple(requires),
        **_fields(priority, after, run_at, max_attempts, timeout, budget, label),
    }
    request = tasks.CreateTask(**{key: value for key, value in wanted.items() if value is not None})
    if not wait:
        output.show(call(tasks.create_task, request), _created)
        return 0

    async def add_and_watch() -> int:
        async with use() as ready:
            created = await tasks.create_task(ready, request)
            if current().json:
                output.print_json(created, indent=None)
            else:
                output.show(created, _created)
            return await watch.follow_to_end(ready, created.created)

    return asyncio.run(add_and_watch())


def edit(
    task: Task,
    *,
    prompt: Prompt = None,
    prompt_file: PromptFile = None,
    title: Title = None,
    profile: Profile = None,
    priority: Priority = None,
    after: After = None,
    run_at: RunAt = None,
    max_attempts: MaxAttempts = None,
    timeout: Timeout = None,
    budget: Budget = None,
    tokens: Tokens = None,
    label: Label = None,
    requires: Requires = None,
    clear: Clear = None,
) -> None:
    """Change a task that has not ended; a running attempt keeps what it has."""
    wanted = {
        "prompt": prompt_of(None, prompt, prompt_file),
        "title": title,
        "profile_id": profile,
        "max_tokens": tokens,
        "requires": None if requires is None else tuple(requires),
        **_fields(priority, after, run_at, max_attempts, timeout, budget, label),
    }
    given = {key: value for key, value in wanted.items() if value is not None}
    request = tasks.EditTask(task_id=task, **given, **_cleared(clear or ()))
    output.show(
        call(tasks.edit_task, request),
        lambda done: [output.text(f"{done.updated} updated: {', '.join(done.fields)}")],
    )


def cancel(task: Task) -> None:
    """Cancel a task; a running agent is stopped."""
    output.show(call(tasks.cancel_task, tasks.NamedTask(task_id=task)), _moved)


def retry(task: Task) -> None:
    """Try a task again that failed, was cancelled or is blocked."""
    output.show(call(tasks.retry_task, tasks.NamedTask(task_id=task)), _retried)


def _fields(
    priority: int | None,
    after: list[str] | None,
    run_at: str | None,
    max_attempts: int | None,
    timeout: str | None,
    budget: float | None,
    label: list[str] | None,
) -> dict[str, Any]:
    return {
        "priority": priority,
        "depends_on": None if after is None else tuple(after),
        "run_at": None if run_at is None else times.moment(run_at, "run_at", now=time.time()),
        "max_attempts": max_attempts,
        "timeout_seconds": None if timeout is None else times.duration(timeout, "timeout"),
        "max_budget_usd": budget,
        "labels": None if label is None else labels(label),
    }


_CLEARED: dict[str, tuple[str, Any]] = {
    "profile": ("profile_id", None),
    "run-at": ("run_at", None),
    "timeout": ("timeout_seconds", None),
    "budget": ("max_budget_usd", None),
    "tokens": ("max_tokens", None),
    "requires": ("requires", ()),
    "after": ("depends_on", ()),
    "label": ("labels", {}),
}


def _cleared(names: Iterable[str]) -> dict[str, Any]:
    for name in names:
        if name not in _CLEARED:
            raise InvalidInput(f"clear: {name!r} is not one of {', '.join(_CLEARED)}", field="clear")
    return dict(_CLEARED[name] for name in names)


def labels(texts: Iterable[str]) -> dict[str, str]:
    """Labels from `name=value`. Raises InvalidInput."""
    pairs = [text.partition("=") for text in texts]
    for name, mark, value in pairs:
        if not mark or not name:
            raise InvalidInput(f"label must be name=value, got {name + mark + value!r}", field="label")
    return {name: value for name, _, value in pairs}


def _created(done: tasks.TaskCreated) -> Iterator[RenderableType]:
    yield output.text(f"{done.created} {done.state}: {done.title}")
    yield from output.warnings(done.warnings)
    yield output.hint("follow it", typed(f"task watch {done.created}"))


def _moved(done: tasks.TaskMoved) -> Iterator[RenderableType]:
    note = "; its worker is stopping the agent" if done.cancel_requested and done.state != "CANCELLED" else ""
    yield output.text(f"{done.task_id} {done.state}{note}")


def _retried(done: tasks.TaskMoved) -> Iterator[RenderableType]:
    yield from _moved(done)
    yield output.hint("follow it", typed(f"task watch {done.task_id}"))
