"""`orchestrator task watch`: follow a task until it ends."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, aclosing, nullcontext
from typing import Annotated, Protocol

from cyclopts import Parameter
from rich.console import Console

from orchestrator.cli import exit_codes, output, transcript
from orchestrator.cli.hints import typed
from orchestrator.cli.options import current
from orchestrator.cli.session import use as session
from orchestrator.commands import attempts, explain, task_views, tasks
from orchestrator.commands.use import Use
from orchestrator.domain.task import TERMINAL, TaskState
from orchestrator.store.outbox import Topic

LOOK_AGAIN = 0.3
"""Seconds between looks when nothing wakes us: messages are stored without waking anyone."""

ENDS = TERMINAL | {TaskState.BLOCKED}
"""Where nothing more happens by itself."""


def watch(
    task: Annotated[str, Parameter(help="Id of the task, or at least 4 characters of its beginning or end.")],
) -> int:
    """Follow what the agent says until the task ends; 0 when it completed, 7 when it waits for a person,
    else 1."""

    async def run() -> int:
        async with session() as ready:
            return await follow_to_end(ready, task)

    return asyncio.run(run())


async def follow_to_end(use: Use, task_id: str) -> int:
    """Print messages as they come, why it waits while it does, then how it ended. With --json: one message or
    explanation a line, the task last."""
    show: Shown = AsLines() if current().json else ForPeople(output.console())
    with show.waiting():
        waits = await _follow(use, task_id, show)
    details = await task_views.get_task(use, tasks.NamedTask(task_id=task_id))
    show.end(details, waits)
    if waits:
        return exit_codes.PERSON
    return exit_codes.OK if details.task.state is TaskState.COMPLETED else exit_codes.FAILED


async def follow(use: Use, task_id: str) -> AsyncGenerator[attempts.Messages, None]:
    """What is new, from the latest attempt on, until the task has ended and all was read."""
    number: int | None = None
    after = -1
    async with use.database.listener(Topic.EVENTS) as changes:
        while True:
            page = await attempts.attempt_messages(
                use, attempts.ReadMessages(task_id=task_id, number=number, after=after, limit=attempts.BATCH)
            )
            yield page
            number, after = page.number, page.last
            if page.ended and number is not None and page.latest is not None and page.latest > number:
                number, after = number + 1, -1
            elif page.state in ENDS and (page.ended or number is None):
                return
            elif len(page.messages) < attempts.BATCH:
                await changes.wait(LOOK_AGAIN)


async def _follow(use: Use, task_id: str, show: "Shown") -> bool:
    """Show what comes until the task ends; true when it does not, because a person has to do something."""
    told: tuple[object, ...] = ()
    async with aclosing(follow(use, task_id)) as pages:
        async for page in pages:
            show.page(page)
            if page.messages or page.state in ENDS or page.state is TaskState.IN_PROGRESS:
                continue
            why = await explain.explain_task(use, tasks.NamedTask(task_id=task_id))
            # Of what is a matter of time, the time counts: the message says how many seconds are left.
            news = tuple((one.code, one.until or one.message) for one in why.reasons[:1])
            if news != told:
                told = news
                show.why(why)
            if all_read(page) and any(one.needs_person for one in why.reasons):
                return True
    return False


def all_read(page: attempts.Messages) -> bool:
    """Whether the latest attempt has said its last, or there was none."""
    return page.number is None or (page.ended and page.latest == page.number)


class Shown(Protocol):
    """How a task that is followed is told of."""

    def waiting(self) -> AbstractContextManager[object]: ...
    def page(self, page: attempts.Messages) -> None: ...
    def why(self, why: explain.Explanation) -> None: ...
    def end(self, details: task_views.TaskDetails, waits: bool) -> None: ...


class AsLines:
    """For programs: a document a line."""

    def waiting(self) -> AbstractContextManager[object]:
        return nullcontext()

    def page(self, page: attempts.Messages) -> None:
        for message in page.messages:
            said = {"attempt": page.number, "rehearsal": page.rehearsal, "message": message}
            output.print_json(said, indent=None)

    def why(self, why: explain.Explanation) -> None:
        output.print_json({"waiting": {"state": why.state, "reasons": why.reasons}}, indent=None)

    def end(self, details: task_views.TaskDetails, waits: bool) -> None:
        del waits  # the reasons of the line before say so
        output.print_json({"task": details}, indent=None)


class ForPeople:
    """The transcript."""

    def __init__(self, to: Console) -> None:
        self._to = to
        self._number: int | None = None

    def waiting(self) -> AbstractContextManager[object]:
        return (
            self._to.status("following it; Ctrl-C leaves it to itself")
            if self._to.is_terminal
            else nullcontext()
        )

    def page(self, page: attempts.Messages) -> None:
        # What an attempt runs under is fixed only before its first message.
        if page.messages and page.number != self._number:
            self._number = page.number
            label = " (a rehearsal: a script answers)" if page.rehearsal else ""
            self._to.print(output.text(f"attempt {page.number}{label}", "bold"))
        for message in page.messages:
            for line in transcript.lines(message, rehearsal=page.rehearsal):
                self._to.print(line)

    def why(self, why: explain.Explanation) -> None:
        """The first reason, and those for which a person is needed."""
        for reason in why.reasons:
            if reason is why.reasons[0] or reason.needs_person:
                self._to.print(output.text(reason.message, "yellow" if reason.needs_person else "dim"))

    def end(self, details: task_views.TaskDetails, waits: bool) -> None:
        task = details.task
        style = f"bold {output.STATE_STYLES.get(task.state, '')}"
        self._to.print(output.text(f"{task.id} {task.state}{' waits for you' if waits else ''}", style))
        if not waits and task.state is not TaskState.COMPLETED and task.result:
            self._to.print(output.text(task.result))
        if task.state is TaskState.WAITING_INPUT:
            self._to.print(output.hint("answer it", typed(f"task answer {task.id} 'your answer'")))
        if waits:
            self._to.print(output.hint("then follow it further", typed(f"task watch {task.id}")))
