"""The command that checks an installation and says what to do about each fault."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.commands.use import Host, Use
from orchestrator.domain.errors import OrchestratorError, StartRefused
from orchestrator.harness.claude.binary import CliFinder
from orchestrator.harness.process import Containment, probe
from orchestrator.store import vault, workers
from orchestrator.store.database import Transaction

FREE_BYTES = 1 << 30
"""Less than this on the disk of the home directory is worth a warning: transcripts and checkouts grow."""


CREDENTIALS = "credentials"


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, but not as well as it could, or not for everything."""
    FAULT = "fault"
    """Tasks cannot run until this is corrected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    subject: str
    verdict: Verdict
    found: str
    advice: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Examine:
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    healthy: bool
    """No finding is a fault."""
    ready: bool
    """Healthy, and there are credentials: tasks can be worked on by a model."""
    findings: tuple[Finding, ...]


async def doctor(use: Use, request: Examine) -> Diagnosis:
    """Check the agent's command line, credentials, database, vault, git and disk."""
    del request
    now = use.clock()
    on_host = await asyncio.to_thread(examine_host, use.host)
    in_database = await use.database.read(_examine_database, place=use.host.database, now=now)
    behind = await use.behind()
    in_effect = [] if behind is None else [Finding(subject="vault", verdict=Verdict.WARNING, found=behind)]
    return diagnosis(*on_host, *in_database, *in_effect)


def diagnosis(*findings: Finding) -> Diagnosis:
    healthy = all(finding.verdict is not Verdict.FAULT for finding in findings)
    credentials = all(finding.verdict is Verdict.OK for finding in findings if finding.subject == CREDENTIALS)
    return Diagnosis(healthy=healthy, ready=healthy and credentials, findings=findings)


def fault(subject: str, error: OrchestratorError) -> Finding:
    """What an error says, as a finding; its message names the way out."""
    return Finding(subject=subject, verdict=Verdict.FAULT, found=str(error))


def examine_host(host: Host) -> tuple[Finding, ...]:
    """What can be found without the database. Starts the agent's command line once, for its version."""
    return (
        _cli(host),
        _credentials(host),
        *_home(host),
        _vault(host),
        _git(),
        _isolation(),
    )


def _cli(host: Host) -> Finding:
    try:
        cli = CliFinder().find(None if host.cli_path is None else str(host.cli_path))
    except StartRefused as error:
        return fault("claude", error)
    found = f"Claude Code {cli.version} at {cli.path} (from {cli.source})"
    if cli.warning is not None:
        return Finding(subject="claude", verdict=Verdict.WARNING, found=found, advice=cli.warning)
    return Finding(subject="claude", verdict=Verdict.OK, found=found)


def _credentials(host: Host) -> Finding:
    if host.credentials is not None:
        return Finding(
            subject=CREDENTIALS, verdict=Verdict.OK, found=f"present, from {host.credentials}; not tried"
        )
    return Finding(
        subject=CREDENTIALS,
        verdict=Verdict.WARNING,
        found="none: a worker that rehearses needs none; any other holds its tasks until there are some",
        advice="To work with a model, set ANTHROPIC_API_KEY or `claude.api_key` and start the worker anew. "
        "`make run` and `--rehearse` of `orchestrator up` and `orchestrator worker` rehearse.",
    )


def _home(host: Host) -> Iterator[Finding]:
    # The directory itself may not be there yet; then its nearest parent decides.
    there = next(path for path in (host.home, *host.home.parents) if path.exists())
    if not os.access(there, os.W_OK):
        yield Finding(
            subject="home",
            verdict=Verdict.FAULT,
            found=f"{there} is not writable",
            advice="Correct its owner, or choose another directory with ORCHESTRATOR_HOME.",
        )
        return
    free = shutil.disk_usage(there).free
    yield Finding(
        subject="home",
        verdict=Verdict.OK if free >= FREE_BYTES else Verdict.WARNING,
        found=f"{host.home}, {free / (1 << 30):.1f} GiB free",
        advice=None if free >= FREE_BYTES else "Free some space: transcripts and checkouts grow.",
    )


def _vault(host: Host) -> Finding:
    if host.vault.is_dir():
        return Finding(subject="vault", verdict=Verdict.OK, found=str(host.vault))
    if not host.vault_needed:
        return Finding(subject="vault", verdict=Verdict.OK, found="none; the vault of another host counts")
    return Finding(
        subject="vault",
        verdict=Verdict.WARNING,
        found=f"{host.vault} is not there",
        advice="`orchestrator up` or `orchestrator vault sync` makes it, with the starter profiles.",
    )


def _git() -> Finding:
    path = shutil.which("git")
    if path is None:
        return Finding(
            subject="git",
            verdict=Verdict.WARNING,
            found="not on PATH",
            advice="Install git; projects with a git repository need it for their checkouts.",
        )
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(
            subject="git",
            verdict=Verdict.WARNING,
            found=f"{path} does not run: {error}",
            advice="Reinstall git.",
        )
    return Finding(subject="git", verdict=Verdict.OK, found=f"{done.stdout.strip()} at {path}")


def _isolation() -> Finding:
    held = probe()
    if held.containment is not Containment.SUPERVISOR:
        return Finding(subject="containment", verdict=Verdict.OK, found=held.containment)
    return Finding(
        subject="containment",
        verdict=Verdict.WARNING,
        found=f"{held.containment}; " + "; ".join(held.why_not),
        advice="A daemon that an agent hides well can outlive it; allow PID namespaces to this user.",
    )


def _examine_database(tx: Transaction, *, place: str, now: float) -> tuple[Finding, ...]:
    fleet = workers.fleet(tx, now=now)
    alive = f"{fleet.workers} alive, {fleet.slots} slots"
    documents = vault.known(tx).documents.values()
    return (
        Finding(subject="database", verdict=Verdict.OK, found=f"{place}, schema up to date"),
        Finding(
            subject="workers",
            verdict=Verdict.OK if fleet.workers else Verdict.WARNING,
            found=alive,
            advice=None if fleet.workers else "Start one with `orchestrator up`.",
        ),
        *(
            Finding(
                subject="vault",
                verdict=Verdict.WARNING,
                found=f"{known.document.path}: {known.error}",
                advice="Correct the file; its last good revision holds until then.",
            )
            for known in documents
            if known.error is not None
        ),
    )
