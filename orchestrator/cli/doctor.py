"""`orchestrator doctor`: works when hardly anything else does."""

import asyncio
import os
from collections.abc import Iterator

from rich.console import RenderableType

from orchestrator import app
from orchestrator.cli import exit_codes, output
from orchestrator.cli.hints import typed
from orchestrator.cli.session import settings, use
from orchestrator.commands import doctor as examining
from orchestrator.commands.use import Host
from orchestrator.domain.errors import OrchestratorError
from orchestrator.harness.claude.config import CREDENTIALS
from orchestrator.settings import Loaded, Settings

WIDTH = 80
"""Columns of the findings at most."""

_STYLES = {
    examining.Verdict.OK: "green",
    examining.Verdict.WARNING: "yellow",
    examining.Verdict.FAULT: "red",
}


def doctor() -> int:
    """Check this installation and say what to do about each fault; 1 when there is one."""
    found = asyncio.run(_examine())
    output.show(found, _render)
    return exit_codes.OK if found.healthy else exit_codes.FAILED


async def _examine() -> examining.Diagnosis:
    try:
        loaded = settings()
    except OrchestratorError as error:
        return examining.diagnosis(examining.fault("configuration", error))
    try:
        async with use() as ready:
            found = await examining.doctor(ready, examining.Examine())
            return examining.diagnosis(*_configuration(loaded), *found.findings)
    except OrchestratorError as error:
        on_host = await asyncio.to_thread(examining.examine_host, _host(loaded.settings))
        return examining.diagnosis(*_configuration(loaded), *on_host, examining.fault("database", error))


def _configuration(loaded: Loaded) -> Iterator[examining.Finding]:
    if loaded.unread_file is not None:
        yield examining.Finding(
            subject="configuration",
            verdict=examining.Verdict.WARNING,
            found=f"{loaded.unread_file} is not read",
            advice=f"Move what is in it to {loaded.config_file}, which is.",
        )


def _host(loaded: Settings) -> Host:
    """What can be looked at without a database."""
    found = app.gather_secrets(loaded, os.environ)
    return Host(
        home=loaded.home,
        vault=loaded.vault_path,
        database="",
        cli_path=loaded.claude.cli_path,
        credentials=", ".join(name for name in CREDENTIALS if name in found) or None,
    )


def _render(found: examining.Diagnosis) -> Iterator[RenderableType]:
    rows = (
        (
            output.text(finding.verdict, _STYLES[finding.verdict]),
            finding.subject,
            finding.found + ("" if finding.advice is None else f"\n{finding.advice}"),
        )
        for finding in found.findings
    )
    # As wide as a terminal usually is, in a pipe too: this is to be read, and --json is for programs.
    yield output.table(("", "what", "found"), rows, width=min(WIDTH, output.console().width))
    yield output.text("")
    if found.ready:
        yield from output.steps("ready; start with", typed("up"), style="green")
    elif found.healthy:
        yield output.text(
            "sound; ready to rehearse, but not to work with a model without credentials.", "yellow"
        )
        key = "export ANTHROPIC_API_KEY=..."
        yield from output.steps("To work with a model", key, typed("up"), style="yellow")
        yield from output.steps("To rehearse without one", typed("up --rehearse"), style="yellow")
    else:
        yield output.text("not ready: correct what is marked as a fault", "red")
