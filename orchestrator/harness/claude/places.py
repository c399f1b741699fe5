"""Where the command line keeps what belongs to one attempt; pure."""

from dataclasses import dataclass
from typing import Self

from orchestrator.domain.context import TaskContext


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Absolute paths beneath the attempt's own directory."""

    home: str
    config: str
    """CLAUDE_CONFIG_DIR: transcripts, and tool results too big for a message."""
    temporary: str
    launch: str
    """Our own files for the start, 0600: MCP servers with their secrets, the role instructions."""

    @classmethod
    def of(cls, context: TaskContext) -> Self:
        root = context.attempt_directory
        return cls(
            home=f"{root}/home",
            config=f"{root}/claude",
            temporary=f"{root}/temporary",
            launch=f"{root}/launch",
        )

    @property
    def transcripts(self) -> str:
        return f"{self.config}/projects"

    @property
    def mcp_file(self) -> str:
        return f"{self.launch}/mcp.json"

    @property
    def instructions_file(self) -> str:
        return f"{self.launch}/instructions.md"

    def resumed(self, transcript: str) -> str:
        """Where the transcript that goes on is copied: the command line appends to the very file it resumes
        from, and the one of the earlier attempt is a record. The file's name is the session's."""
        return f"{self.transcripts}/resumed/{transcript.rpartition('/')[2]}"

    @property
    def all(self) -> tuple[str, ...]:
        return (self.home, self.config, self.temporary, self.launch)
