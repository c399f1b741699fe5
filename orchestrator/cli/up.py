"""`orchestrator up`: everything in one process, until it is told to stop."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Annotated, TextIO

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator import __version__, app, logs
from orchestrator.cli import api, output, screen, signals
from orchestrator.cli.daemon import door, rehearsal_at
from orchestrator.cli.options import current
from orchestrator.cli.session import settings, use_of
from orchestrator.commands import projects, tasks
from orchestrator.commands.use import Use
from orchestrator.domain.errors import AlreadyExists
from orchestrator.domain.project import CheckoutKind
from orchestrator.harness.claude.config import CREDENTIALS
from orchestrator.notify import notify
from orchestrator.settings import Settings
from orchestrator.store import events

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
        logs.configure(
            style=loaded.log.format,
            level=loaded.log.level,
            stream=stack.enter_context(_log_file(loaded)) if visible else sys.stderr,
        )
        url = await stack.enter_async_context(rehearsal_at(script)) if rehearsing else None
        if visible:
            _print_header(_header(loaded, url))
        running = await stack.enter_async_context(
            app.running(loaded, stop=stop, rehearsal_url=url, door=door)
        )
        use = use_of(running)
        if loaded.api.enabled:
            address = await stack.enter_async_context(api.serving(use, loaded, with_worker=True))
            if visible:
                _print_address(address)
        notify("READY=1")
        last = await use.database.read(events.last_id)
        if sample:
            await _ask_for_sample(use)
        if visible:
            await screen.follow(use, last, stop.drain)
        await stop.drain.wait()
        if visible and not current().json:
            output.console().print(
                output.text("stopping: running attempts are put off; again to end now", "dim")
            )


def _print_address(address: str) -> None:
    if current().json:
        output.print_json({"api": address}, indent=None)
    else:
        output.console().print(output.text(f"answers programs on {address}/api/v1, with a token\n", "dim"))


def _credentials(loaded: Settings) -> bool:
    """Whether there is anything that the model's service could accept."""
    return not app.gather_secrets(loaded, os.environ).keys().isdisjoint(CREDENTIALS)


def _log_file(loaded: Settings) -> TextIO:
    """Where the log goes while the terminal shows tasks; only its owner reads it."""
    loaded.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(
        os.open(loaded.home / "orchestrator.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        "w",
        encoding="utf-8",
        buffering=1,
    )


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


def _header(loaded: Settings, rehearsal_url: str | None) -> dict[str, str | None]:
    return {
        "version": __version__,
        "home": str(loaded.home),
        "vault": str(loaded.vault_path),
        "log": str(loaded.home / "orchestrator.log"),
        "rehearsal": rehearsal_url,
    }


def _print_header(header: dict[str, str | None]) -> None:
    if current().json:
        output.print_json(header, indent=None)
    else:
        output.show(header, _render_header)


def _render_header(header: dict[str, str | None]) -> Iterator[RenderableType]:
    yield output.text(f"orchestrator {header['version']}", "bold")
    yield output.facts((name, header[name]) for name in ("home", "vault", "log"))
    if header["rehearsal"] is not None:
        yield output.text(
            "rehearsal: the answers come from a script; set ANTHROPIC_API_KEY to use a model", "yellow"
        )
    home = f" --home {header['home']}" if current().home or "ORCHESTRATOR_HOME" in os.environ else ""
    yield output.text(f"ask for a task: orchestrator{home} task add 'what to do'; Ctrl-C stops\n", "dim")
