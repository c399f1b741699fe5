"""Isolation: how the processes of an agent are held together, so that none outlives it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from orchestrator.domain.errors import StartRefused

PROBE_SECONDS = 5.0
"""How long a probe may take; it was seen to take 2 ms."""


class Containment(StrEnum):
    """What holds the tree, best first."""

    NAMESPACE = "pid-namespace"
    """The agent is the first process of a PID namespace: when it dies, the kernel kills all others."""

    USER_NAMESPACE = "user-and-pid-namespace"
    """The same for an ordinary user, by way of a user namespace in which he maps to himself."""

    SUPERVISOR = "supervisor"
    """A process of ours adopts every orphan and kills them. What escapes: a daemon with an empty
    environment in a session of its own, when its agent kills the supervisor as well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Resource limits of an attempt, in bytes and seconds; `None` sets none. Core dumps are always off."""

    address_space: int | None = None
    """Of each process. JavaScript runtimes reserve tens of gigabytes without using them."""

    file_size: int | None = None
    open_files: int | None = None
    cpu_seconds: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Isolation:
    """The containment that was found to hold here, and why each better one does not."""

    containment: Containment
    wrapper: tuple[str, ...]
    prlimit: str | None
    why_not: tuple[str, ...] = ()

    def command(self, argv: Sequence[str], limits: Limits) -> list[str]:
        """The whole command line. `setpriv` arranges that the wrapper dies with the worker, and the
        namespace dies with the wrapper; set-user-ID programs gain nothing, since a process of another user
        could not be killed."""
        worker = [str(os.getpid()), "--"] if self.containment is Containment.SUPERVISOR else []
        return [*self.wrapper, *worker, *self._limited(limits), *argv]

    def _limited(self, limits: Limits) -> list[str]:
        asked = {
            "as": limits.address_space,
            "fsize": limits.file_size,
            "nofile": limits.open_files,
            "cpu": limits.cpu_seconds,
        }
        flags = [f"--{name}={value}:{value}" for name, value in asked.items() if value is not None]
        if self.prlimit is None:
            if flags:
                raise StartRefused(
                    "resource limits need the program prlimit, which is not on PATH; "
                    "install util-linux or remove the limits"
                )
            return []
        return [self.prlimit, "--core=0:0", *flags, "--"]


def probe(allowed: Sequence[Containment] = tuple(Containment)) -> Isolation:
    """Find out what holds here, by trying. Blocks for some milliseconds, at worst twice `PROBE_SECONDS`:
    call it once, when the worker starts. `allowed` narrows the choice; where nothing else works it is the
    supervisor."""
    prlimit = shutil.which("prlimit")
    reasons: list[str] = []
    for containment in (Containment.NAMESPACE, Containment.USER_NAMESPACE):
        if containment not in allowed:
            reasons.append(f"{containment}: not allowed by the settings")
            continue
        wrapper = _namespace_wrapper(containment)
        reason = _try(wrapper) if wrapper else "setpriv or unshare is not on PATH; install util-linux"
        if not reason:
            return Isolation(
                containment=containment, wrapper=wrapper, prlimit=prlimit, why_not=tuple(reasons)
            )
        reasons.append(f"{containment}: {reason}")
    script = str(Path(__file__).with_name("supervisor.py"))
    return Isolation(
        containment=Containment.SUPERVISOR,
        wrapper=(sys.executable, "-I", "-S", script),
        prlimit=prlimit,
        why_not=tuple(reasons),
    )


def _namespace_wrapper(containment: Containment) -> tuple[str, ...]:
    setpriv, unshare = shutil.which("setpriv"), shutil.which("unshare")
    if setpriv is None or unshare is None:
        return ()
    user = ("--user", "--map-current-user") if containment is Containment.USER_NAMESPACE else ()
    namespace = ("--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--")
    return (setpriv, "--no-new-privs", "--pdeathsig", "KILL", "--", unshare, *user, *namespace)


def _try(wrapper: Sequence[str]) -> str:
    """Why the wrapper does not work, or nothing. A program it starts must find itself to be process 1."""
    try:
        done = subprocess.run(
            [*wrapper, shutil.which("readlink") or "/bin/readlink", "/proc/self"],
            env={"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {PROBE_SECONDS:.0f} s"
    except OSError as error:
        return str(error)
    if done.returncode != 0:
        return done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
    return "" if done.stdout.strip() == b"1" else f"process 1 expected, found {done.stdout!r}"
