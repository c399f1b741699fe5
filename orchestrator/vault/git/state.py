"""How a cycle of the sync can end, and how what git says is read."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from orchestrator.vault.git.process import GitFailed


class GitState(StrEnum):
    """Every one but OFF and SYNCED is tried again with the next cycle, and none has lost anything."""

    OFF = "off"
    """The vault is not a clone, or the sync is switched off."""
    SYNCED = "synced"
    CONFLICT = "conflict"
    """Both sides changed the same lines; the tree is as it was, and a person decides."""
    DETACHED = "detached"
    """No branch is checked out."""
    UNFINISHED = "unfinished"
    """A person is in the middle of a merge, rebase or the like."""
    LOCKED = "locked"
    """Another process holds a lock on the repository, or on the remote's branch."""
    IN_THE_WAY = "in_the_way"
    """A file that git does not keep stands where the remote has one."""
    OFFLINE = "offline"
    """The remote cannot be reached."""
    CREDENTIALS = "credentials"
    """The remote does not let us in, or is not known to be the one it says it is."""
    REJECTED = "rejected"
    """The remote does not take our commits."""
    CONTENDED = "contended"
    """Others pushed faster than we could, each time."""
    REFUSED = "refused"
    """Something here or there is not followed for safety; the message says what."""
    STOPPED = "stopped"
    FAILED = "failed"


Keep = Literal["ours", "theirs"]


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class ConflictFile:
    """A file that both sides changed. `ours` and `theirs` are the ids of its two contents, `None` where that
    side deleted it; `keep` is what a person decided."""

    path: str
    ours: str | None
    theirs: str | None
    keep: Keep | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GitStatus:
    """How the last cycle ended. `ahead` are commits that only we have, `behind` those that only the remote
    has, as far as is known; times are Unix seconds."""

    state: GitState
    message: str = ""
    remote: str | None = None
    """Its address, without passwords."""
    branch: str | None = None
    commit: str | None = None
    ahead: int = 0
    behind: int = 0
    conflicts: tuple[ConflictFile, ...] = ()
    notes: tuple[str, ...] = ()
    """What had to be put right on the way, such as a lock that a crash left."""
    at: float = 0.0
    synced_at: float | None = None
    dropped: str | None = None
    """The commit that was in effect and that the remote has no more: its history was rewritten."""


class CycleEnded(Exception):
    """The cycle ends here, in this state. Never leaves the package."""

    def __init__(self, state: GitState, message: str = "", conflicts: tuple[ConflictFile, ...] = ()) -> None:
        super().__init__(message)
        self.state = state
        self.message = message
        self.conflicts = conflicts


class TryAgain(CycleEnded):
    """Somebody was faster, here or there. The cycle begins again, and ends like this with the last try."""


_CREDENTIALS: Final = re.compile(
    r"permission denied \(|authentication failed|could not read (username|password)|access denied"
    r"|http 40[13]|error: 40[13]|host key verification failed|certificate verification failed"
    r"|ssl certificate problem|invalid credentials|terminal prompts disabled"
    r"|repository '[^']*' not found|permission to .* denied|write access to repository not granted",
    re.IGNORECASE,
)
_OFFLINE: Final = re.compile(
    r"could not resolve|connection (refused|timed out|reset|closed)|network is unreachable|no route to host"
    r"|failed to connect|couldn't connect|operation timed out|operation too slow|transfer closed"
    r"|does not appear to be a git repository|the remote end hung up|early eof|name or service not known"
    r"|temporary failure in name resolution|http 5\d\d|error: 50\d|recv failure|ssl_|tls ",
    re.IGNORECASE,
)
_LOCKED: Final = re.compile(
    r"unable to create '[^']*\.lock'|\.lock': file exists|unable to lock", re.IGNORECASE
)
_NOT_MOVED: Final = re.compile(r"failed to (lock|update)|cannot lock")
"""Said of a branch that others moved, of a locked one, and of one that cannot be written."""
_WHY_NOT_MOVED: Final = re.compile(r"cannot lock ref .*")
_LOCKED_THERE: Final = re.compile(r"unable to create '[^']*\.lock': file exists", re.IGNORECASE)
_RACED: Final = re.compile(
    r"fetch first|non-fast-forward|stale info|failed to (lock|update)|incorrect old value"
    r"|is at \S+ but expected|is missing but expected|reference already exists"
)
_UNSAFE: Final = re.compile(
    r"fsck error|dubious ownership|transport '[^']*' not allowed|unable to update url base from redirection"
    r"|died of signal 25|file too large|invalid path",
    re.IGNORECASE,
)


def classify(error: GitFailed) -> GitState:
    """What a failed git process means. Git has no codes for it: the words are those of the C locale."""
    if error.reason == "stopped":
        return GitState.STOPPED
    if error.reason == "time":
        return GitState.OFFLINE
    for pattern, state in (
        (_LOCKED, GitState.LOCKED),
        (_UNSAFE, GitState.REFUSED),
        (_CREDENTIALS, GitState.CREDENTIALS),
        (_OFFLINE, GitState.OFFLINE),
    ):
        if pattern.search(error.said):
            return state
    return GitState.FAILED


def refused_push(error: GitFailed) -> CycleEnded | None:
    """What it means that a remote did not take our commits, which git tells in two places: in its table, and
    in what the other side wrote. `None` when the push did not get so far."""
    row = next((line for line in error.printed.splitlines() if line.startswith("!")), None)
    if row is None:
        return None
    told = row.split("\t")[-1]
    if _NOT_MOVED.search(told) and (why := _WHY_NOT_MOVED.search(error.said)):
        told = why[0]
    told = told.strip(" .")[:MOST_SHOWN]
    if _LOCKED_THERE.search(told):
        message = (
            f"Its branch is locked at the remote: {told}. It is tried again. If it stays so, a git "
            "was killed there: remove that file at the remote while no git is at work in it."
        )
        return TryAgain(GitState.LOCKED, message)
    if _RACED.search(told):
        return TryAgain(GitState.CONTENDED, f"Others pushed first, each time: {told}. It is tried again.")
    return CycleEnded(GitState.REJECTED, f"The remote does not take our commits: {told}")


def message_for(paths: dict[str, str]) -> str:
    """The message of a commit of local edits: `paths` has what became of each, A, M, D or T."""
    verbs = {"A": "Add", "D": "Delete"}
    names = sorted(paths)
    kinds = {verbs.get(kind, "Edit") for kind in paths.values()}
    verb = kinds.pop() if len(kinds) == 1 else "Edit"
    subject = f"{verb} {names[0]}" if len(names) == 1 else f"{verb} {len(names)} documents"
    listed = [f"{verbs.get(paths[name], 'Edit')} {name}" for name in names[:MOST_NAMED]]
    if len(names) > MOST_NAMED:
        listed.append(f"and {len(names) - MOST_NAMED} more")
    return "\n".join([subject[:200], "", *listed]) + "\n"


MOST_SHOWN: Final = 300
"""Characters of what another side says."""
MOST_NAMED: Final = 100
"""Paths in a commit's message; the commit itself has all of them."""
