"""Sessions of agents: each attempt's own directory, and the transcript a later one goes on from."""

import asyncio
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.domain.task import Task

PRIVATE: Final = 0o700

ANSWERED: Final = b'"assistant"'
"""In every line of a transcript with a message of the agent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """The session an attempt runs in. `transcript` is set when it goes on with an earlier one."""

    directory: str
    session_id: str
    transcript: str | None = None


class Sessions:
    """Below `home`: `attempts/<task>/<number>`."""

    def __init__(self, home: Path) -> None:
        self._root = home / "attempts"

    async def prepare(self, task: Task) -> Session:
        """Make the attempt's directory, and find what it goes on from: when the transcript is not on this
        host the session is a new one. Raises OSError."""
        return await asyncio.to_thread(self._prepare, task)

    def _prepare(self, task: Task) -> Session:
        mine = self._root / task.id
        directory = mine / str(task.attempt)
        directory.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        transcript = _latest(mine, directory, task.session_id) if task.session_id else None
        if transcript is not None and task.session_id is not None:
            return Session(directory=str(directory), session_id=task.session_id, transcript=str(transcript))
        return Session(directory=str(directory), session_id=str(uuid.uuid4()))


def _latest(attempts: Path, own: Path, session_id: str) -> Path | None:
    """The transcript that was written last; one in which the agent has said nothing yet cannot be resumed."""
    there = [path for path in attempts.rglob(f"{session_id}.jsonl") if own not in path.parents]
    found = [path for path in there if _says_something(path)]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _says_something(transcript: Path) -> bool:
    with transcript.open("rb") as lines:
        return any(ANSWERED in line for line in lines)
