"""Git for checkouts: in one directory, with nothing of a repository's own code run."""

from pathlib import Path

from orchestrator.vault.git import process
from orchestrator.vault.git.process import GitFailed

__all__ = ["GitFailed", "git"]


def git(directory: Path, *arguments: str) -> str:
    """Run git there and return what it printed, without the last newline. Blocks. Raises GitFailed."""
    try:
        return process.git(("-C", str(directory)), *arguments)
    except GitFailed as error:
        message = f"In {directory}: {error}"
        raise GitFailed(message, said=error.said, reason=error.reason) from error
