"""What an adapter is told of the task it works on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.domain.mcp import McpServer


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskContext:
    """The task as the agent is to see it.

    `checkout` is the directory it works in; `attempt_directory` (0700, the attempt's own) holds its HOME,
    configuration, temporary files and transcript. `role_instructions` is the profile's suffix.
    """

    task_id: str
    attempt: int
    project_id: str
    title: str
    prompt: str
    checkout: str
    attempt_directory: str
    role_instructions: str = ""
    mcp_servers: tuple[McpServer, ...] = ()
    session_id: str | None = None
    """A fresh UUID for a new session; with `resume_transcript`, the session that goes on."""
    resume_transcript: str | None = None
    """Path of the transcript to resume from."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Values for the `${NAME}` references of the servers, and the credentials of the agent; never shown."""
