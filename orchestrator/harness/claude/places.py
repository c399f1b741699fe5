"""Where the command line keeps what belongs to one attempt; pure."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from orchestrator.domain.context import TaskContext

SOCKET_ROOM: Final = 80
"""Bytes that the temporary directory's path may have. The command line puts a socket below it, whose path
ends at 107 bytes (unix(7)); where that is not enough it uses a place in /tmp that all agents share, and
there they can send each other messages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Absolute paths, each the attempt's own."""

    root: str
    """The attempt's directory."""
    home: str
    config: str
    """CLAUDE_CONFIG_DIR: transcripts, and tool results too big for a message."""
    temporary: str
    """Beneath the attempt's directory, or where that is too deep for a socket, a place of its own in /tmp."""
    launch: str
    """Our own files for the start, 0600: MCP servers with their secrets, the role instructions."""

    @classmethod
    def of(cls, context: TaskContext) -> Self:
        return cls.below(context.attempt_directory)

    @classmethod
    def below(cls, root: str) -> Self:
        """Those of the attempt whose directory that is."""
        return cls(
            root=root,
            home=f"{root}/home",
            config=f"{root}/claude",
            temporary=_temporary(root),
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


def _temporary(root: str) -> str:
    place = f"{root}/tmp"  # noqa: S108 - beneath the attempt
    if len(place.encode()) <= SOCKET_ROOM:
        return place
    return f"/tmp/orchestrator-{sha256(root.encode()).hexdigest()[:16]}"  # noqa: S108 - made and checked by `prepare`
