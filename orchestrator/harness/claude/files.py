"""Files of one attempt: made before the start, looked for after the end."""

import contextlib
import json
import os
import re
import shutil
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from orchestrator.domain.context import TaskContext
from orchestrator.domain.errors import StartRefused
from orchestrator.domain.secret import ending
from orchestrator.harness.claude.config import ClaudeAdapterConfig
from orchestrator.harness.claude.guard import Territory
from orchestrator.harness.claude.places import Places

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600

LAST_WORDS: Final = 500
"""Characters of the end of a server's stderr that are looked at."""

LOG_BYTES: Final = 1 << 20
"""A server's log that is larger is not that of one that failed to start."""

STDERR: Final = "Server stderr: "
"""Begins an entry of the log that the command line keeps of each server."""


def prepare(context: TaskContext) -> None:
    """Make the attempt's directories, and bring the transcript to resume from. Raises OSError and
    StartRefused."""
    places = Places.of(context)
    for directory in places.all:
        Path(directory).mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    _check_owned(places.temporary)
    if context.resume_transcript is None:
        return
    copy = Path(places.resumed(context.resume_transcript))
    copy.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    try:
        shutil.copyfile(context.resume_transcript, copy)
    except FileNotFoundError as error:
        raise StartRefused(
            f"The session cannot go on: its transcript {context.resume_transcript} is gone. Retry the "
            "task afresh."
        ) from error


def forget_servers(places: Places) -> None:
    """Remove the file with the secrets of the servers: the agent has read it, or never will."""
    with contextlib.suppress(OSError):  # such as a disk that is read-only by now; the attempt is what counts
        Path(places.mcp_file).unlink(missing_ok=True)


def clean_up(places: Places) -> None:
    """Remove what an attempt had outside its own directory, which is kept, and its secrets."""
    forget_servers(places)
    if not places.temporary.startswith(f"{places.root}/"):
        shutil.rmtree(places.temporary, ignore_errors=True)


def _check_owned(directory: str) -> None:
    """Raises StartRefused for a directory that somebody else made first, or may look into."""
    found = Path(directory).lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StartRefused(f"{directory} is not a directory of this user's alone; remove it and retry.")


def write_files(files: Mapping[str, str]) -> None:
    """Write the files of the start, readable by us alone: they hold secrets. Raises OSError."""
    for path, content in files.items():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)


def territory_of(config: ClaudeAdapterConfig, context: TaskContext) -> Territory:
    """Where the path tools may go, links followed."""
    checkout = os.path.realpath(context.checkout)
    return Territory(
        checkout=checkout,
        writable=(checkout, *(os.path.realpath(place) for place in config.added_directories)),
        readable=(os.path.realpath(Places.of(context).transcripts),),
    )


def find_transcript(places: Places, session_id: str | None) -> str | None:
    """The session's transcript in the attempt's own directory, the latest when there are several."""
    if session_id is None:
        return None
    found = list(Path(places.transcripts).glob(f"*/{session_id}.jsonl"))
    return str(max(found, key=lambda path: path.stat().st_mtime)) if found else None


def last_words(places: Places, names: Collection[str]) -> dict[str, str]:
    """What these servers printed on stderr last, by name, where the command line kept it."""
    if not names:
        return {}
    wanted = {re.sub(r"[^A-Za-z0-9]", "-", name): name for name in names}
    found = {}
    for path in sorted(Path(places.home).glob(".cache/claude-cli-nodejs/*/mcp-logs-*/*.jsonl")):
        name = wanted.get(path.parent.name.removeprefix("mcp-logs-"))
        if name is not None and (words := _stderr_in(path)):
            found[name] = words
    return found


def _stderr_in(path: Path) -> str:
    """In one line; empty when there is none. The file is the agent's: nothing of it is taken for granted."""
    said = []
    with contextlib.suppress(OSError, ValueError, RecursionError):
        if path.stat().st_size > LOG_BYTES:
            return ""
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            entry = json.loads(line)
            text = entry.get("error") if isinstance(entry, dict) else None
            if isinstance(text, str) and text.startswith(STDERR):
                said.append(text.removeprefix(STDERR))
    return ending(" ".join(" ".join(said).split()), LAST_WORDS)
