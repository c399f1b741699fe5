"""`orchestrator rehearse`: the stand-in for the model's service, in the foreground."""

import asyncio
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator import rehearsal
from orchestrator.cli import output, signals
from orchestrator.cli.options import current
from orchestrator.cli.whole import WHOLE


def rehearse(
    *,
    script: Annotated[
        Path | None, Parameter(help="What to answer; absent: it lists the tools, then ends.")
    ] = None,
    port: Annotated[int, WHOLE, Parameter(help="Port on loopback; 0 takes a free one.")] = 0,
    log: Annotated[Path | None, Parameter(help="A file for a line of JSON per request.")] = None,
) -> None:
    """Stand in for the model's service, from a script; costs nothing, needs no credentials."""
    chosen = rehearsal.DEFAULT if script is None else rehearsal.load(script)

    async def run() -> None:
        async with rehearsal.serve(chosen, port=port, log=log) as server, signals.stopping() as stop:
            exports = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "rehearsal"}
            if current().json:
                output.print_json({"url": server.url, "export": exports}, indent=None)
            else:
                output.show(server.url, lambda url: _first(url, exports))
            await stop.drain.wait()

    asyncio.run(run())


def _first(url: str, exports: dict[str, str]) -> Iterator[RenderableType]:
    yield output.text(f"rehearsal on {url}: every answer comes from a script", "bold")
    yield output.text("point an agent at it:")
    for name, value in exports.items():
        yield output.text(f"  export {name}={shlex.quote(value)}")
    yield output.text(f"or a worker: ORCHESTRATOR_CLAUDE__BASE_URL={shlex.quote(url)} orchestrator up")
    yield output.text("Ctrl-C ends it", "dim")
