"""`orchestrator api`: the HTTP surface, alone."""

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from orchestrator import app, logs
from orchestrator.cli import output, signals
from orchestrator.cli.daemon import bound, serving
from orchestrator.cli.options import current
from orchestrator.cli.session import settings, use_of

if TYPE_CHECKING:
    from orchestrator.settings import Settings


def api() -> None:
    """Answer over HTTP without a worker; for a host that only takes requests, or beside workers elsewhere."""
    asyncio.run(_run(settings().settings))


async def _run(loaded: "Settings") -> None:
    async with AsyncExitStack() as stack:
        stop = await stack.enter_async_context(signals.stopping())
        logs.configure(style=loaded.log.format, level=loaded.log.level, stream=sys.stderr)
        listener = stack.enter_context(bound(loaded))
        opened = await stack.enter_async_context(app.opened(loaded))
        address = await stack.enter_async_context(
            serving(use_of(opened), loaded, listener, with_worker=False)
        )
        if current().json:
            output.print_json({"api": address}, indent=None)
        else:
            output.console().print(
                output.text(f"answers programs on {address}/api/v1, with a token; Ctrl-C stops")
            )
        await stop.drain.wait()
