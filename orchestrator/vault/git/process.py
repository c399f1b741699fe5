"""One git process: a clean environment, nothing of a repository's own code run, always ended.

The vault's sync, GitPython, which reads for it, and the worker's checkouts start git here and nowhere else.
"""

import contextlib
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from orchestrator.domain.errors import OrchestratorError

SECONDS: Final = 600.0
"""A worktree of a very large repository takes minutes on a slow disk."""

SAFE: Final = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "protocol.ext.allow": "never",
    "submodule.recurse": "false",
    # The operator named this repository; whose it is does not matter to a process that runs nothing of it.
    "safe.directory": "*",
    # Packing is done when nothing else is, never behind the back of another command: see `_gather`.
    "gc.auto": "0",
    "gc.autoDetach": "false",
    "maintenance.auto": "false",
}
"""Configuration that outranks the repository's."""

PASSED_ON: Final = ("PATH", "LANG", "HOME", "TMPDIR")

Reason = Literal["exit", "time", "stopped", "missing"]


class GitFailed(OrchestratorError):
    """Git could not do it; see its message."""

    code = "git-failed"

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str | None = None,
        said: str = "",
        printed: str = "",
        reason: Reason = "exit",
    ) -> None:
        super().__init__(message, field=field)
        self.said = said
        """What git wrote on standard error, and in `printed` on standard output."""
        self.printed = printed
        self.reason = reason


class Leash:
    """Ends what another thread runs: the git processes there are, and any that would be started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self.pulled = False

    def pull(self) -> None:
        with self._lock:
            self.pulled = True
            for process in self._running:
                _end(process)

    def ended(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._running.discard(process)

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], inherited: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        """Raises GitFailed once it was pulled, and FileNotFoundError where there is no git."""
        with self._lock:
            if self.pulled:
                raise GitFailed("It was stopped before its end; it goes on from there.", reason="stopped")
            process = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=inherited,
                # With its helpers in a group of its own, so that none of them outlives it.
                start_new_session=True,
            )
            self._running.add(process)
            return process


def environment(parent: Mapping[str, str], passed_on: Sequence[str] = PASSED_ON) -> dict[str, str]:
    """Nothing of the caller's GIT_* reaches git, nor any configuration but the repository's."""
    kept = {name: parent[name] for name in passed_on if name in parent}
    return kept | {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "LC_ALL": "C",
    }


def git(
    place: Sequence[str],
    *arguments: str,
    options: Mapping[str, str] = SAFE,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    seconds: float = SECONDS,
    most_bytes: int | None = None,
    leash: Leash | None = None,
    inherited: Sequence[int] = (),
) -> str:
    """Run git and return what it printed, without the last newline; bytes that are no text are kept as
    surrogates. Blocks. Raises GitFailed.

    `place` says where, such as `-C <directory>`. No file that it writes gets longer than `most_bytes`; of
    our descriptors it has those `inherited`.
    """
    leash = leash or Leash()
    process = start(place, *arguments, options=options, env=env, leash=leash, inherited=inherited)
    if most_bytes is not None:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    with process:
        try:
            out, err = process.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise GitFailed(f"git {arguments[0]} took longer than {seconds:g} s.", reason="time") from error
        finally:
            _end(process)
            leash.ended(process)
    said = err.decode("utf-8", "replace").strip()
    if leash.pulled:
        raise GitFailed("It was stopped before its end; it goes on from there.", reason="stopped")
    printed = out.decode("utf-8", "surrogateescape").removesuffix("\n")
    if process.returncode != 0:
        message = f"git {arguments[0]}: {said or f'exit code {process.returncode}'}"
        raise GitFailed(message, said=said, printed=printed)
    return printed


def start(
    place: Sequence[str],
    *arguments: str,
    leash: Leash,
    options: Mapping[str, str] = SAFE,
    env: Mapping[str, str] | None = None,
    inherited: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Start git; whoever does it ends it, and the leash too. Raises GitFailed."""
    settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    try:
        return leash.start(
            ["git", *settings, *place, *arguments],
            environment(os.environ) if env is None else env,
            inherited,
        )
    except FileNotFoundError as error:
        raise GitFailed("git is not on PATH; install it.", reason="missing") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """The process with its whole group, unless it has ended by itself."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
