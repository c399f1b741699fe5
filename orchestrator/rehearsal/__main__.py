"""A rehearsal in a process of its own, for whoever is not asyncio."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread

from orchestrator.domain.errors import OrchestratorError
from orchestrator.rehearsal.builtin import DEFAULT
from orchestrator.rehearsal.document import load
from orchestrator.rehearsal.script import Script
from orchestrator.rehearsal.server import serve


async def until_told(script: Script, *, port: int, log: Path | None) -> None:
    """Serve until standard input closes, or SIGTERM or SIGINT comes. Prints one line of JSON: the url."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with serve(script, port=port, log=log) as server:
        line = {"url": server.url, "port": server.port, "script": script.name, "rehearsal": True}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        # A daemon thread, since a blocking read cannot be cancelled and must not hold up the end.
        Thread(target=_at_end_of_input, args=(loop, told), daemon=True).start()
        await told.wait()


def _at_end_of_input(loop: asyncio.AbstractEventLoop, told: asyncio.Event) -> None:
    while os.read(0, 65_536):
        pass
    with suppress(RuntimeError):  # the loop may have ended before the input did
        loop.call_soon_threadsafe(told.set)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m orchestrator.rehearsal", description=__doc__)
    parser.add_argument("--script", type=Path, help="YAML or JSON; without it, the built-in script")
    parser.add_argument("--port", type=int, default=0, help="0 is any free port")
    parser.add_argument("--log", type=Path, help="write each request to this file, as a line of JSON")
    arguments = parser.parse_args(argv)
    try:
        script = DEFAULT if arguments.script is None else load(arguments.script)
        asyncio.run(until_told(script, port=arguments.port, log=arguments.log))
    except OrchestratorError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
