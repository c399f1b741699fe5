"""One cycle of the sync: commit local edits, fetch, put ours on top, move the tree, push."""

import os
import time
from collections.abc import Callable, Mapping, Set
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import structlog

from orchestrator.domain.errors import Conflict, NotFound
from orchestrator.vault.git import leftovers, locks, status
from orchestrator.vault.git.address import masked
from orchestrator.vault.git.adopt import adopt, refuse_bulk, resume
from orchestrator.vault.git.commit import commit_edits
from orchestrator.vault.git.credential import credential_of
from orchestrator.vault.git.in_effect import advice, contains
from orchestrator.vault.git.origin import Brought, origins
from orchestrator.vault.git.process import GitFailed, Leash
from orchestrator.vault.git.remote import (
    Remote,
    choose,
    deepen,
    fetch,
    push,
    refuse_unsafe_configuration,
    remotes,
)
from orchestrator.vault.git.replay import Conflicted, join
from orchestrator.vault.git.repository import OWN, Repository
from orchestrator.vault.git.state import (
    ConflictFile,
    CycleEnded,
    GitState,
    GitStatus,
    Keep,
    TryAgain,
    classify,
)
from orchestrator.vault.plan import digest_of

log = structlog.get_logger()

TRIES: Final = 5
"""Times that a cycle begins again because somebody else was faster, here or there."""
GATHER_SECONDS: Final = 6 * 3600.0
GATHER_AT_MOST: Final = 120.0
"""Seconds that packing may hold up the next cycle; it is the only time that git packs anything by itself."""
BASE: Final = f"{OWN}base"


@dataclass(frozen=True, kw_only=True, slots=True)
class GitOptions:
    """`None` is: whatever the repository says. Times are seconds."""

    enabled: bool | None = None
    remote: str | None = None
    branch: str | None = None
    host: str = "localhost"
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What `${NAME}` in the remote's address stands for."""
    network_seconds: float = 300.0
    """One fetch or push."""
    most_bytes: int = 512 * 1024 * 1024
    """What is taken from a remote, as a pack and as a tree."""
    lock_seconds: float = 60.0
    """A lock older than that, with no git at work, was left by a crash."""
    abandoned_seconds: float = 3600.0
    """So long a rebase that somebody began by hand may lie untouched."""
    kept_seconds: float = 90 * 86400.0
    """So long stays what would be reachable no more: as long as git's own reflog has what a branch dropped
    (gc.reflogExpire). What is let go, git removes with its next packing."""
    wait_seconds: float = 30.0
    """For another process that is in a cycle."""


class GitVault:
    """The vault at `root` as a clone. Everything here blocks; call it in a thread."""

    def __init__(
        self, root: Path, options: GitOptions | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._options = options or GitOptions()
        self._clock = clock
        self._leash = Leash()
        self._root = root

    def run_once(self, in_effect: str | None = None) -> GitStatus:
        """Bring both sides together. Calling it too often changes nothing; it never raises for what is
        wrong with repository or remote, but says so in what it returns. Of the commit `in_effect` it finds
        out whether the remote dropped it; it must be one that the remote has had."""
        now = self._clock()
        repo = self._repository()
        before = status.load_status(repo.own)
        try:
            if not self._is_clone(repo):
                return GitStatus(state=GitState.OFF, at=now)
            with closing(repo), locks.alone(repo, self._options.wait_seconds):
                result = replace(_Cycle(repo, self._options, now).run(in_effect), at=now)
                if result.state is not GitState.SYNCED:
                    result = replace(
                        result,
                        synced_at=before.synced_at if before else None,
                        dropped=before.dropped if before else None,
                    )
                status.save_status(repo.own, result)
        except CycleEnded as ended:
            result = GitStatus(state=ended.state, message=masked(ended.message), at=now)
        except (OSError, GitFailed) as error:
            result = GitStatus(state=GitState.FAILED, message=masked(str(error)), at=now)
        _log(before, result)
        return result

    def status(self) -> GitStatus:
        """How the last cycle ended, in whichever process it was."""
        repo = self._repository()
        try:
            clone = self._is_clone(repo)
        except CycleEnded as ended:
            return GitStatus(state=ended.state, message=masked(ended.message))
        if not clone:
            return GitStatus(state=GitState.OFF)
        return status.load_status(repo.own) or GitStatus(state=GitState.OFF, message="No cycle has run yet.")

    def lacks(self, commit: str) -> str | None:
        """What keeps this clone from the commit in effect, and what to do; `None` where it has it, or needs
        not: where nothing is synced, or its remote has dropped it."""
        repo = self._repository()
        last = status.load_status(repo.own)
        try:
            if not self._is_clone(repo) or (last is not None and last.dropped == commit):
                return None
            with closing(repo):
                refuse_unsafe_configuration(repo.configuration())
                return None if contains(repo, commit) else advice(commit, last)
        except (CycleEnded, GitFailed) as error:
            state = error.state if isinstance(error, CycleEnded) else classify(error)
            return advice(commit, GitStatus(state=state, message=masked(str(error))))

    def resolve(self, path: str, keep: Keep) -> tuple[ConflictFile, ...]:
        """Decide which side of a file in conflict is kept; the next cycle acts on it once all are decided.

        Returns the files in conflict. Raises NotFound when this one is not, and Conflict when no side has
        it under that name.
        """
        repo = self._repository()
        found = {file.path: file for file in self.status().conflicts}
        if path not in found:
            raise NotFound(f"{path!a} is not in conflict; nothing was changed.", field="path")
        file = found[path]
        if file.ours is None and file.theirs is None:
            raise Conflict(f"{path!a} is a file on one side and a directory on the other; rename yours.")
        try:
            with locks.alone(repo, self._options.wait_seconds):
                decisions = status.load_decisions(repo.own)
                status.save_decisions(repo.own, {**decisions, path: replace(file, keep=keep)})
                found[path] = replace(file, keep=keep)
                files = tuple(found.values())
                status.save_status(repo.own, replace(self.status(), conflicts=files))
        except CycleEnded as ended:
            raise Conflict(ended.message) from None
        return files

    def origins(self, wanted: Mapping[str, Set[str]]) -> tuple[float, dict[tuple[str, str], Brought]]:
        """By path and digest, the commit that brought this content; and when the last cycle that went
        through began."""
        last = self.status()
        if last.state is GitState.OFF:
            return 0.0, {}
        try:
            with closing(self._repository()) as repo:
                refuse_unsafe_configuration(repo.configuration())
                return last.synced_at or 0.0, origins(repo, wanted, digest_of)
        except (CycleEnded, GitFailed) as error:
            log.warning("vault.git_history_unread", error=masked(str(error)))
            return 0.0, {}

    def stop(self) -> None:
        """End a cycle that runs in another thread, and every later one. What it did not finish is taken up
        by the next process."""
        self._leash.pull()

    def _repository(self) -> Repository:
        return Repository(
            root=self._root.resolve(),
            author=f"orchestrator on {self._options.host}",
            email=f"orchestrator@{self._options.host}",
            network_seconds=self._options.network_seconds,
            most_bytes=self._options.most_bytes,
            leash=self._leash,
        )

    def _is_clone(self, repo: Repository) -> bool:
        """Raises CycleEnded when it ought to be one and is not."""
        enabled = self._options.enabled
        if enabled is False:
            return False
        if not repo.directory.is_dir() or repo.directory.is_symlink():
            if enabled or os.path.lexists(repo.directory):
                raise CycleEnded(GitState.REFUSED, f"{self._root} is not a clone with a .git directory.")
            return False
        if enabled or self._options.remote:
            return True
        try:
            return bool(remotes(repo.configuration()))
        except GitFailed as error:
            raise CycleEnded(classify(error), str(error)) from error


class _Cycle:
    def __init__(self, repo: Repository, options: GitOptions, now: float) -> None:
        self.repo = repo
        self.options = options
        self.now = now
        self.notes: list[str] = []
        self.remote: Remote | None = None

    def run(self, in_effect: str | None) -> GitStatus:
        try:
            self._steps()
            dropped = in_effect if in_effect and self._is_dropped(in_effect) else None
            return replace(self._status(GitState.SYNCED), dropped=dropped)
        except CycleEnded as ended:
            return self._status(ended.state, ended.message, ended.conflicts)
        except GitFailed as error:
            return self._status(classify(error), str(error))
        except OSError as error:
            return self._status(GitState.FAILED, str(error))

    def _steps(self) -> None:
        repo, options = self.repo, self.options
        configuration = repo.configuration()
        # Nothing else is run or read before it is known that the configuration starts no programs.
        refuse_unsafe_configuration(configuration)
        self.remote = choose(configuration, repo.branch() or "", remote=options.remote, branch=options.branch)
        self.notes += locks.clear_locks(repo, now=self.now, older_than=options.lock_seconds)
        self.notes += leftovers.end_abandoned_rebase(repo, now=self.now, older_than=options.abandoned_seconds)
        branch = repo.branch()
        if branch is None:
            raise CycleEnded(GitState.DETACHED, "No branch is checked out; do `git switch <branch>`.")
        remote = choose(configuration, branch, remote=options.remote, branch=options.branch)
        self.remote = replace(
            remote, credential=credential_of(remote.url, options.secrets, netrc=repo.has_netrc)
        )
        if resume(repo):
            self.notes.append("brought to its end what a crash had cut off")
        for _ in range(TRIES - 1):
            try:
                self._together(self.remote)
            except TryAgain as end:
                if end.state is GitState.LOCKED:
                    self._unlock(self.remote)
            else:
                return
        self._together(self.remote)

    def _together(self, remote: Remote) -> None:
        """Both sides in one commit, here and there. Raises TryAgain when somebody edited meanwhile, or the
        remote did not move its branch, and CycleEnded."""
        repo = self.repo
        ours = commit_edits(repo)
        known = repo.commit(BASE)
        if known is None and (known := repo.commit(remote.ref)):
            repo.set_ref(BASE, known)
        theirs = fetch(repo, remote)
        if theirs is None and known is not None:
            raise CycleEnded(
                GitState.REJECTED,
                f"The remote has no branch {remote.branch} any more. Push it again, or set vault.git.branch.",
            )
        target = self._target(remote, ours, theirs, known)
        if target is None:
            return
        if target != ours and (edited := adopt(repo, ours, target)):
            names = ", ".join(map(ascii, edited[:5]))
            raise TryAgain(GitState.IN_THE_WAY, f"The remote has files where others stand here: {names}")
        if target != theirs:
            push(repo, remote, target)
        if known != target:
            repo.set_ref(BASE, target)
            self._gather()

    def _is_dropped(self, commit: str) -> bool:
        """Now that both sides are the same: whether the remote has it no more."""
        if contains(self.repo, commit):
            return False
        if self.remote is not None and (self.repo.directory / "shallow").exists():
            deepen(self.repo, self.remote)
            if contains(self.repo, commit):
                return False
        self.notes.append(f"the remote has commit {commit[:12]} no more, which was in effect")
        return True

    def _unlock(self, remote: Remote) -> None:
        self.notes += locks.clear_locks_there(
            self.repo, remote, now=self.now, older_than=self.options.lock_seconds
        )

    def _gather(self) -> None:
        """Pack what has piled up, at most once in so many seconds: what nothing refers to any more is not
        packed, and would have git begin again each time."""
        marker = self.repo.own / "gathered"
        if marker.exists() and 0 <= self.now - marker.stat().st_mtime < GATHER_SECONDS:
            return
        marker.touch()
        try:
            if gone := leftovers.let_go(self.repo, now=self.now, older_than=self.options.kept_seconds):
                log.info("vault.git_let_go", refs=gone)
            self.repo.run("-c", "gc.auto=2000", "gc", "--auto", "--quiet", seconds=GATHER_AT_MOST)
        except GitFailed as error:  # both sides are the same already; it is tried again hours later
            if error.reason == "stopped":
                raise
            log.warning("vault.git_not_packed", error=str(error))

    def _target(self, remote: Remote, ours: str | None, theirs: str | None, known: str | None) -> str | None:
        """The commit that both sides are to stand at. Raises CycleEnded for a conflict."""
        if theirs is None or ours == theirs:
            return ours
        if theirs != known:
            refuse_bulk(self.repo, theirs)
        if ours is None:
            return theirs
        rewritten = known is not None and not self.repo.is_ancestor(known, theirs)
        base = self._base(remote, ours, theirs, known if rewritten else None)
        if base == theirs:
            return ours
        decisions = status.load_decisions(self.repo.own)
        joined = join(
            self.repo,
            ours=ours,
            theirs=theirs,
            base=base,
            rewritten=rewritten,
            decide=lambda file: status.decided(file, decisions),
        )
        if isinstance(joined, Conflicted):
            names = ", ".join(file.path for file in joined.files if file.keep is None)
            raise CycleEnded(GitState.CONFLICT, f"Both sides changed {names}.", joined.files)
        if rewritten and known is not None:
            self._keep_rewritten(known, ours)
        return joined.commit

    def _base(self, remote: Remote, ours: str, theirs: str, dropped: str | None) -> str | None:
        """The last commit that both sides have had. Of a remote that was rewritten it is what it had before,
        so that commits dropped there do not come back from here."""
        if dropped is not None and self.repo.is_ancestor(dropped, ours):
            return dropped
        base = self.repo.merge_base(ours, theirs)
        if base is None and (self.repo.directory / "shallow").exists():
            deepen(self.repo, remote)
            base = self.repo.merge_base(ours, theirs)
        return base

    def _keep_rewritten(self, known: str, ours: str) -> None:
        leftovers.keep(self.repo, ours, self.now)
        ref = leftovers.keep(self.repo, known, self.now)
        self.notes.append(f"the remote's history was rewritten; what it was is kept at {ref}")

    def _status(
        self, state: GitState, message: str = "", conflicts: tuple[ConflictFile, ...] = ()
    ) -> GitStatus:
        found = GitStatus(
            state=state,
            message=masked(message),
            conflicts=conflicts,
            notes=tuple(self.notes),
            synced_at=self.now if state is GitState.SYNCED else None,
        )
        if self.remote is None or state in (GitState.STOPPED, GitState.REFUSED):
            return found
        try:
            head, theirs = self.repo.commit("HEAD"), self.repo.commit(self.remote.ref)
            ahead, behind = self.repo.count(theirs, head), self.repo.count(head, theirs)
        except GitFailed:
            return found
        return replace(
            found,
            remote=masked(self.remote.url),
            branch=self.remote.branch,
            commit=head,
            ahead=ahead,
            behind=behind,
        )


def _log(before: GitStatus | None, now: GitStatus) -> None:
    """Only what is news."""
    for note in now.notes:
        log.warning("vault.git_repaired", note=note)
    if before is None or (before.state, before.message) != (now.state, now.message):
        say = log.info if now.state is GitState.SYNCED else log.warning
        say("vault.git", state=now.state.value, message=now.message)
