"""`orchestrator worker`: takes tasks from the database it shares, and shows nothing."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Group, Parameter

import orchestrator.cli.lean  # noqa: F401 - before all that logs
from orchestrator import app as composition
from orchestrator import logs
from orchestrator.cli import signals
from orchestrator.cli.daemon import bound, door, ready, rehearsal_at, serving
from orchestrator.cli.menu import BELOW
from orchestrator.cli.session import settings, use_of
from orchestrator.settings import Settings
from orchestrator.store import aside

app: Final = App(name="worker", help_format="plaintext", group_parameters=Group("Parameters", sort_key=1))


@app.default
def worker(
    *,
    answer: Annotated[
        bool, Parameter(name="--api", help="Answer over HTTP too, for probes and metrics.", negative=())
    ] = False,
    rehearse: Annotated[
        bool, Parameter(help="Answer agents from a script instead of a model; costs nothing.", negative=())
    ] = False,
    script: Annotated[Path | None, Parameter(help="The script of the rehearsal.")] = None,
) -> None:
    """Take tasks from the database, beside any number of workers on any number of hosts. It logs to standard
    error; SIGTERM drains it, a second one ends its agents now."""
    rehearsal = rehearse or script is not None
    asyncio.run(_run(settings().settings, answer=answer, rehearse=rehearsal, script=script))


async def _run(loaded: Settings, *, answer: bool, rehearse: bool, script: Path | None) -> None:
    async with AsyncExitStack() as stack:
        stop = await stack.enter_async_context(signals.stopping())
        logs.configure(style=loaded.log.format, level=loaded.log.level, stream=sys.stderr)
        listener = stack.enter_context(bound(loaded)) if answer else None
        url = await stack.enter_async_context(rehearsal_at(script)) if rehearse else None
        aside.migrate(loaded.database_url)
        running = await stack.enter_async_context(
            composition.running(loaded, stop=stop, rehearsal_url=url, door=door)
        )
        if listener is not None:
            served = serving(use_of(running), loaded, listener, with_worker=True)
            await stack.enter_async_context(served)
        ready()
        await stop.drain.wait()


for _name, _entry in BELOW["worker"].items():
    app.command(f"orchestrator.cli.{_entry.path}", name=_name, help=_entry.summary)
