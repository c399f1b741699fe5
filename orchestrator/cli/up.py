"""`orchestrator up`: everything in one process, until it is told to stop."""

import asyncio
import os
import sys
from contextlib import AbstractContextManager, AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

import orchestrator.cli.lean  # noqa: F401 - before all that logs
from orchestrator import app, logs
from orchestrator.cli import signals
from orchestrator.cli.daemon import bound, door, ready, rehearsal_at, serving
from orchestrator.cli.options import current
from orchestrator.cli.session import settings, use_of
from orchestrator.commands import projects, tasks
from orchestrator.commands.use import Use
from orchestrator.domain.errors import AlreadyExists
from orchestrator.domain.project import CheckoutKind
from orchestrator.harness.claude.config import CREDENTIALS
from orchestrator.settings import Settings
from orchestrator.store import aside, events

if TYPE_CHECKING:
    from orchestrator.cli.front import Front

SAMPLE_PROJECT = "sample"
SAMPLE_PROFILE = "reviewer"
"""Reads and changes nothing, so that it may look at the vault itself."""
SAMPLE_PROMPT = "Look round this directory and say in two or three sentences what is kept here."
SAMPLE_DELAY = 2.0
"""Seconds until the sample task may start: it shows that a task can wait for its time."""


def up(
    *,
    rehearse: Annotated[
        bool, Parameter(help="Answer from a script instead of a model; costs nothing.", negative=())
    ] = False,
    script: Annotated[Path | None, Parameter(help="The script of the rehearsal.")] = None,
    sample: Annotated[
        bool,
        Parameter(
            help="Ask for one sample task, and show it; a rehearsal when there are no credentials.",
            negative=(),
        ),
    ] = False,
    show: Annotated[
        bool | None,
        Parameter(
            name="--screen",
            negative="--no-screen",
            help="Show tasks here and log to a file; absent: on a terminal.",
        ),
    ] = None,
) -> None:
    """Run everything in this process: the worker, the vault's sync."""
    loaded = settings().settings
    rehearsing = rehearse or script is not None or (sample and not _credentials(loaded))
    visible = sample or current().json or (sys.stdout.isatty() if show is None else show)
    asyncio.run(_run(loaded, rehearsing=rehearsing, script=script, sample=sample, visible=visible))


async def _run(
    loaded: Settings, *, rehearsing: bool, script: Path | None, sample: bool, visible: bool
) -> None:
    async with AsyncExitStack() as stack:
        stop = await stack.enter_async_context(signals.stopping())
        front = stack.enter_context(_front(loaded)) if visible else None
        logs.configure(
            style=loaded.log.format,
            level=loaded.log.level,
            stream=sys.stderr if front is None else front.stream,
        )
        # Before anything is claimed, migrated or written: a port in use ends it here.
        listener = stack.enter_context(bound(loaded)) if loaded.api.enabled else None
        url = await stack.enter_async_context(rehearsal_at(script)) if rehearsing else None
        if front is not None:
            front.header(rehearsal_url=url, credentials=_credentials(loaded))
        aside.migrate(loaded.database_url)
        use = use_of(
            await stack.enter_async_context(app.running(loaded, stop=stop, rehearsal_url=url, door=door))
        )
        if listener is not None:
            address = await stack.enter_async_context(serving(use, loaded, listener, with_worker=True))
            if front is not None:
                front.address(address)
        ready()
        last = await use.database.read(events.last_id)
        if sample:
            await _ask_for_sample(use)
        if front is not None:
            await front.follow(use, last, stop.drain)
        await stop.drain.wait()
        busy = front is not None and await front.stopping(use)
    if front is not None:
        front.stopped(busy=busy)


def _credentials(loaded: Settings) -> bool:
    """Whether there is anything that the model's service could accept."""
    return not app.gather_secrets(loaded, os.environ).keys().isdisjoint(CREDENTIALS)


def _front(loaded: Settings) -> AbstractContextManager["Front"]:
    # Lazily, as a service that logs to stderr shows nothing and needs no rich.
    from orchestrator.cli import front  # noqa: PLC0415 - loaded only for the screen

    return front.opened(loaded)


async def _ask_for_sample(use: Use) -> None:
    with suppress(AlreadyExists):
        await projects.create_project(
            use,
            projects.CreateProject(
                id=SAMPLE_PROJECT,
                name="Sample",
                repository=str(use.host.vault),
                checkout=CheckoutKind.DIRECTORY,
            ),
        )
    await tasks.create_task(
        use,
        tasks.CreateTask(
            project_id=SAMPLE_PROJECT,
            title="Look round",
            prompt=SAMPLE_PROMPT,
            profile_id=SAMPLE_PROFILE,
            run_at=use.clock() + SAMPLE_DELAY,
        ),
    )
