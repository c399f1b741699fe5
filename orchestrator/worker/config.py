"""What a worker is told when it is made."""

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from orchestrator.domain.lifecycle import MAX_LOSSES

DAY: Final = 86400.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerConfig:
    """Times are seconds. `home` holds the checkouts and the directories of the attempts."""

    name: str
    home: Path
    host: str = field(default_factory=socket.gethostname)
    """What its limits go by, and how messages name this machine."""
    slots: int = 4
    labels: tuple[str, ...] = ()
    """What tasks and projects can require of a worker."""
    lease_seconds: float = 30.0
    """How long a claim holds without a heartbeat. Six heartbeats: five may be missed."""
    heartbeat_seconds: float = 5.0
    max_losses: int = MAX_LOSSES
    """Attempts in a row that may be lost with their worker before a task is put aside."""
    answer_days: float | None = None
    """How long the answer to an agent's question is waited for; `None`: without end."""
    poll_seconds: float = 5.0
    """The slow look behind the wake-up by the database."""
    drain_seconds: float = 20.0
    """How long running attempts may go on after a stop was asked for, before they are interrupted."""
    per_project: int = 8
    """Waiting tasks of a project that are looked at in one turn, at least as many as there are free slots."""
    window_seconds: float = 3600.0
    """The recent past that fairness between projects looks at."""
    recheck_seconds: float = 300.0
    """When a task that a profile holds is looked at again unasked."""
    batch_seconds: float = 0.25
    batch_messages: int = 128
    """What an agent says is stored when so much time went by or so many messages came."""

    @property
    def answer_seconds(self) -> float | None:
        return None if self.answer_days is None else self.answer_days * DAY

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise ValueError(f"slots must be 1 or more, not {self.slots}")
        if self.lease_seconds < 2 * self.heartbeat_seconds:
            raise ValueError(
                f"lease_seconds ({self.lease_seconds}) must be at least twice heartbeat_seconds "
                f"({self.heartbeat_seconds}), or one late heartbeat loses the task"
            )
