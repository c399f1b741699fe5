"""What is remembered between cycles: how the last one ended, and what a person decided."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from orchestrator.vault.git.state import ConflictFile, GitState, GitStatus
from orchestrator.vault.write import write_file

STATUS: Final = "status.json"
DECISIONS: Final = "decisions.json"


def load_status(own: Path) -> GitStatus | None:
    """How the last cycle ended, in whichever process; `None` when nothing is known."""
    found = _read(own / STATUS)
    if not isinstance(found, dict):
        return None
    try:
        conflicts = tuple(ConflictFile(**item) for item in found.pop("conflicts"))
        notes = tuple(found.pop("notes"))
        return GitStatus(state=GitState(found.pop("state")), conflicts=conflicts, notes=notes, **found)
    except (TypeError, ValueError, KeyError):
        return None


def save_status(own: Path, status: GitStatus) -> None:
    _write(own / STATUS, asdict(status))


def load_decisions(own: Path) -> dict[str, ConflictFile]:
    """By path. Each holds for the two contents that the person saw, and for no others."""
    found = _read(own / DECISIONS)
    try:
        decisions = [ConflictFile(**item) for item in found] if isinstance(found, list) else []
    except TypeError:
        return {}
    return {decision.path: decision for decision in decisions}


def save_decisions(own: Path, decisions: dict[str, ConflictFile]) -> None:
    _write(own / DECISIONS, [asdict(decisions[path]) for path in sorted(decisions)])


def decided(file: ConflictFile, decisions: dict[str, ConflictFile]) -> ConflictFile:
    """The file with what was decided of it, if it still is what was looked at."""
    known = decisions.get(file.path)
    if known is None or (known.ours, known.theirs) != (file.ours, file.theirs):
        return file
    return replace(file, keep=known.keep)


def _read(path: Path) -> Any:
    """Nothing where it is missing or damaged: the next cycle finds out anew."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _write(path: Path, value: Any) -> None:
    write_file(path, json.dumps(value, indent=1).encode())
