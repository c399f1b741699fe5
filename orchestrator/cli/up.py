"""`orchestrator up`: everything in one process, until it is told to stop."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Annotated, TextIO, cast

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator import __version__, app, logs
from orchestrator.cli import api, hints, output, screen, signals
from orchestrator.cli.daemon import door, rehearsal_at
from orchestrator.cli.options import current
from orchestrator.cli.session import settings, use_of
from orchestrator.commands import projects, tasks
from orchestrator.commands.use import Use
from orchestrator.domain.errors import AlreadyExists, OrchestratorError
from orchestrator.domain.project import CheckoutKind
from orchestrator.harness.claude.config import CREDENTIALS
from orchestrator.notify import notify
from orchestrator.settings import Settings
from orchestrator.store import events, workers
from orchestrator.store import tasks as stored_tasks
from orchestrator.store.database import Transaction

LOG = "orchestrator.log"
"""In the home, while the terminal shows tasks."""
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
    shown = visible and not current().json
    async with AsyncExitStack() as stack:
        stop = await stack.enter_async_context(signals.stopping())
        logs.configure(
            style=loaded.log.format,
            level=loaded.log.level,
            stream=stack.enter_context(_log_file(loaded)) if visible else sys.stderr,
        )
        # Before anything is claimed, migrated or written: a port in use ends it here.
        listener = stack.enter_context(api.bound(loaded)) if loaded.api.enabled else None
        url = await stack.enter_async_context(rehearsal_at(script)) if rehearsing else None
        if visible:
            _print_header(loaded, url)
        running = await stack.enter_async_context(
            app.running(loaded, stop=stop, rehearsal_url=url, door=door)
        )
        use = use_of(running)
        if listener is not None:
            served = api.serving(use, loaded, listener, with_worker=True)
            address = await stack.enter_async_context(served)
            if visible:
                _print_address(address)
        notify("READY=1")
        last = await use.database.read(events.last_id)
        if sample:
            await _ask_for_sample(use)
        if visible:
            await screen.follow(use, last, stop.drain)
        await stop.drain.wait()
        busy = shown and await _tell_stopping(use, loaded)
    if shown:
        output.console().print(output.text("stopped" if busy else "stopped; nothing was running", "dim"))


async def _tell_stopping(use: Use, loaded: Settings) -> bool:
    """What becomes of the attempts under way; whether there are any."""
    try:
        at_work = await use.database.read(_at_work)
    except OrchestratorError:  # the worker drains without its database, and so does the screen
        return True
    if at_work:
        them = "1 attempt has" if at_work == 1 else f"{at_work} attempts have"
        grace = f"{loaded.worker.drain_seconds:g} s to end; what has not goes on with the next start"
        output.console().print(output.text(f"stopping: {them} {grace}. Ctrl-C again ends it now", "dim"))
    return at_work > 0


def _at_work(tx: Transaction) -> int:
    """How many attempts this very process has under way."""
    here = socket.gethostname(), os.getpid()
    ours = [row.id for row in workers.list_workers(tx) if (row.host, row.pid) == here]
    return stored_tasks.count_claimed(tx, workers=ours)


def _print_address(address: str) -> None:
    if current().json:
        output.print_json({"api": address}, indent=None)
    else:
        output.console().print(output.text(f"answers programs on {address}/api/v1, with a token\n", "dim"))


def _credentials(loaded: Settings) -> bool:
    """Whether there is anything that the model's service could accept."""
    return not app.gather_secrets(loaded, os.environ).keys().isdisjoint(CREDENTIALS)


@contextlib.contextmanager
def _log_file(loaded: Settings) -> Iterator[TextIO]:
    # Lazily, as a service that logs to stderr needs none of it.
    from orchestrator.cli.log_file import LogFile  # noqa: PLC0415 - loaded only for the screen

    with contextlib.closing(LogFile(loaded.home / LOG, most=loaded.log.file_bytes)) as file:
        yield cast(TextIO, file)


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


def _print_header(loaded: Settings, rehearsal_url: str | None) -> None:
    header = {
        "version": __version__,
        "home": str(loaded.home),
        "vault": str(loaded.vault_path),
        "log": str(loaded.home / LOG),
        "rehearsal": rehearsal_url,
    }
    if current().json:
        output.print_json(header, indent=None)
        return
    for part in _header(header, credentials=_credentials(loaded)):
        output.console().print(part)


def _header(header: dict[str, str | None], *, credentials: bool) -> Iterator[RenderableType]:
    yield output.text(f"orchestrator {header['version']}", "bold")
    yield output.facts((name, header[name]) for name in ("home", "vault", "log"))
    if header["rehearsal"] is not None:
        way = "" if credentials else "; set ANTHROPIC_API_KEY to use a model"
        yield output.text(f"rehearsal: the answers come from a script{way}", "yellow")
    elif not credentials:
        yield output.text(
            "no credentials: the model's service will refuse, and tasks are held. Set ANTHROPIC_API_KEY, "
            f"or rehearse: {hints.typed('up --rehearse')}",
            "yellow",
        )
    if (line := hints.elsewhere(Path(header["home"] or ""))) is not None:
        yield output.text(f"in another terminal, first: {line}", "dim")
    ask = hints.typed("task add 'what to do'")
    yield output.text(f"ask for a task: {ask}; Ctrl-C stops", "dim")
