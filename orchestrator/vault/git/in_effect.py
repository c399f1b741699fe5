"""Which commit is in effect: asked before a cycle, and recorded once its tree was read."""

from orchestrator.store import vault_commit
from orchestrator.store.database import Database
from orchestrator.vault.git.repository import Repository
from orchestrator.vault.git.state import GitState, GitStatus


class InEffect:
    """For one who does a cycle and then reads the tree, in this order."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: str | None = None

    async def ask(self) -> str | None:
        """Before the cycle. Raises DatabaseUnavailable."""
        self._known = await self._database.read(vault_commit.in_effect)
        return self._known

    async def record(self, status: GitStatus) -> None:
        """After the look that followed the cycle, if that went through: what only this clone has is not what
        others could get. Nothing is recorded when another host did since it was asked for."""
        commit = status.commit
        if status.state is GitState.SYNCED and not status.ahead and commit not in (None, self._known):
            await self._database.run(vault_commit.record, commit, instead_of=self._known)


def contains(repo: Repository, commit: str) -> bool:
    """Whether what is checked out is this commit or came after it. Raises GitFailed."""
    head = repo.commit("HEAD")
    return head is not None and repo.commit(commit) is not None and repo.is_ancestor(commit, head)


def advice(commit: str, last: GitStatus | None) -> str:
    """What is said of a clone without the commit in effect; `last` is how its last cycle ended."""
    if last is None or last.state in (GitState.OFF, GitState.SYNCED):
        way = "the next cycle fetches it; at once, `orchestrator vault sync`."
    else:
        way = f"its sync with the remote ended as {last.state.value}"
        way += f" ({last.message.rstrip('.')})" if last.message else ""
        way += "; settle that (`orchestrator vault status`), and it goes on by itself."
    return (
        f"This clone does not have commit {commit[:12]}, which is in effect; nothing of it is read until it "
        f"has it: {way}"
    )
