"""`orchestrator task watch`: follow a task until it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from orchestrator.cli import exit_codes, output, transcript
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
    """Follow what the agent says until the task ends; 0 when it completed, else 1."""

    async def run() -> int:
        async with session() as ready:
            return await follow_to_end(ready, task)

    return asyncio.run(run())


async def follow_to_end(use: Use, task_id: str) -> int:
    """Print messages as they come, then how it ended. With --json: one message a line, the task last."""
    if current().json:
        async for page in follow(use, task_id):
            for message in page.messages:
                output.print_json({"attempt": page.number, "message": message}, indent=None)
    else:
        await _show(use, task_id, output.console())
    details = await task_views.get_task(use, tasks.NamedTask(task_id=task_id))
    task = details.task
    if current().json:
        output.print_json({"task": details}, indent=None)
    else:
        to = output.console()
        to.print(output.text(f"{task.id} {task.state}", f"bold {output.STATE_STYLES.get(task.state, '')}"))
        if task.state is not TaskState.COMPLETED and task.result:
            to.print(output.text(task.result))
    return exit_codes.OK if task.state is TaskState.COMPLETED else exit_codes.FAILED


async def follow(use: Use, task_id: str) -> AsyncIterator[attempts.Messages]:
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


async def _show(use: Use, task_id: str, to: Console) -> None:
    """For people: the transcript, and while nothing runs, why."""
    number: int | None = None
    told = ""
    spinner = to.status("waiting for a worker") if to.is_terminal else nullcontext()
    with spinner:
        async for page in follow(use, task_id):
            # What an attempt runs under is fixed only before its first message.
            if page.messages and page.number != number:
                number = page.number
                label = " (a rehearsal: a script answers)" if page.rehearsal else ""
                to.print(output.text(f"attempt {number}{label}", "bold"))
            for message in page.messages:
                for line in transcript.lines(message):
                    to.print(line)
            if not page.messages and page.state not in (ENDS | {TaskState.IN_PROGRESS}):
                why = await _why(use, task_id)
                if why != told:
                    told = why
                    to.print(output.text(why, "dim"))


async def _why(use: Use, task_id: str) -> str:
    """The first reason why it does not run, or that it does."""
    return (await explain.explain_task(use, tasks.NamedTask(task_id=task_id))).summary
