"""What `up` says on its own: where it runs when it starts, what is under way when it stops."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO, cast

from rich.console import RenderableType

from orchestrator import __version__
from orchestrator.cli import hints, output, screen
from orchestrator.cli.log_file import LogFile
from orchestrator.cli.options import current
from orchestrator.commands.use import Use
from orchestrator.domain.errors import OrchestratorError
from orchestrator.settings import Settings
from orchestrator.store import tasks, workers
from orchestrator.store.database import Transaction

LOG: Final = "orchestrator.log"
"""In the home, while the terminal shows tasks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Front:
    """The screen of one `up`. With `--json` only what a program can read is on it."""

    loaded: Settings
    stream: TextIO
    """Where the log goes while the terminal shows tasks."""
    log: Path

    def header(self, *, rehearsal_url: str | None, credentials: bool) -> None:
        header = {
            "version": __version__,
            "home": str(self.loaded.home),
            "vault": str(self.loaded.vault_path),
            "log": str(self.log),
            "rehearsal": rehearsal_url,
        }
        if current().json:
            output.print_json(header, indent=None)
            return
        for part in _header(header, credentials=credentials):
            output.console().print(part)

    def address(self, address: str) -> None:
        if current().json:
            output.print_json({"api": address}, indent=None)
            return
        _say(f"answers programs on {address}/api/v1, with a token\n")

    async def follow(self, use: Use, last: int, stop: asyncio.Event) -> None:
        await screen.follow(use, last, stop)

    async def stopping(self, use: Use) -> bool:
        """Say what becomes of the attempts under way; returns whether there are any."""
        if current().json:
            return True
        try:
            at_work = await use.database.read(_at_work)
        except OrchestratorError:  # the worker drains without its database, and so does the screen
            return True
        if at_work:
            them = "1 attempt has" if at_work == 1 else f"{at_work} attempts have"
            grace = f"{self.loaded.worker.drain_seconds:g} s to end; what has not goes on with the next start"
            _say(f"stopping: {them} {grace}. Ctrl-C again ends it now")
        return at_work > 0

    def stopped(self, *, busy: bool) -> None:
        if not current().json:
            _say("stopped" if busy else "stopped; nothing was running")


@contextlib.contextmanager
def opened(loaded: Settings) -> Iterator[Front]:
    """The screen with its log file in the home, closed with it."""
    path = loaded.home / LOG
    with contextlib.closing(LogFile(path, most=loaded.log.file_bytes)) as file:
        yield Front(loaded=loaded, stream=cast(TextIO, file), log=path)


def _say(line: str) -> None:
    output.console().print(output.text(line, "dim"))


def _header(header: Mapping[str, str | None], *, credentials: bool) -> Iterator[RenderableType]:
    yield output.text(f"orchestrator {header['version']}", "bold")
    yield output.facts((name, header[name]) for name in ("home", "vault", "log"))
    if header["rehearsal"] is not None:
        way = "" if credentials else "; set ANTHROPIC_API_KEY to use a model"
        yield output.text(f"rehearsal: the answers come from a script{way}", "yellow")
    elif not credentials:
        yield output.text(
            "no credentials: the model's service will refuse, and tasks are held. Set ANTHROPIC_API_KEY "
            "and start anew",
            "yellow",
        )
        yield output.hint("or rehearse", hints.typed("up --rehearse"), "yellow")
    if (line := hints.elsewhere(Path(header["home"] or ""))) is not None:
        yield output.hint("in another terminal, first", line)
    yield output.hint("ask for a task", hints.typed("task add 'what to do'"))
    yield output.text("Ctrl-C stops", "dim")


def _at_work(tx: Transaction) -> int:
    """How many attempts this very process has under way."""
    here = socket.gethostname(), os.getpid()
    ours = [row.id for row in workers.list_workers(tx) if (row.host, row.pid) == here]
    return tasks.count_claimed(tx, workers=ours)
