"""Leftovers: processes of an attempt that outlived the worker which started them."""

import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.harness.process.environment import MARKER

PROC = Path("/proc")
ROUNDS = 250
ROUND_SECONDS = 0.02
"""How long until what was killed is looked for again, and how often: five seconds altogether."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessIdentity:
    """Which process it was, beyond its number: numbers are used again, this triple is not."""

    pid: int
    started: int
    """Clock ticks after boot: field 22 of /proc/<pid>/stat."""

    boot: str
    attempt: str
    """What its environment says under `MARKER`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A line of the process table."""

    pid: int
    parent: int
    started: int
    state: str

    @property
    def alive(self) -> bool:
        return self.state not in "ZX"


def boot_id() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def pid_namespace() -> int:
    """The namespace in which process numbers mean what they mean here: of another one nothing can be seen."""
    return (PROC / "self/ns/pid").stat().st_ino


def identify(pid: int, *, attempt: str) -> ProcessIdentity:
    """Raises `ProcessLookupError` when there is no such process."""
    process = look_up(pid)
    if process is None:
        raise ProcessLookupError(pid)
    return ProcessIdentity(pid=pid, started=process.started, boot=boot_id(), attempt=attempt)


def look_up(pid: int) -> Process | None:
    try:
        stat = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The program's name, in parentheses, may contain anything; what follows the last one is fixed.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return Process(pid=pid, parent=int(fields[1]), started=int(fields[19]), state=fields[0].decode())


def processes() -> Iterator[Process]:
    """The whole table, but for the dead that nobody has waited for yet."""
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (process := look_up(int(entry.name))) is not None and process.alive:
            yield process


def children_of(pid: int) -> list[Process]:
    """The living children, from the kernel's own list where it keeps one."""
    try:
        listed = (PROC / str(pid) / "task" / str(pid) / "children").read_text().split()
    except OSError:
        return [process for process in processes() if process.parent == pid]
    return [process for child in listed if (process := look_up(int(child))) is not None and process.alive]


def end_leftovers(identities: Iterable[ProcessIdentity], attempts: Collection[str] = ()) -> list[int]:
    """Kill what is left of attempts of an earlier worker; returns the ids of the processes killed.

    A process is ours when it is one that was recorded (same id, same start, same boot) or when its
    environment names one of these attempts (`attempts` adds some of which no process was recorded); its
    descendants go with it. Blocks, at worst for some seconds. What cannot be killed, another user's, is not
    in the result.
    """
    boot = boot_id()
    recorded = {(known.pid, known.started) for known in identities if known.boot == boot}
    names = {known.attempt for known in identities} | set(attempts)
    killed: set[int] = set()
    for _ in range(ROUNDS):
        targets = _targets(recorded, names - {""})
        hit = [process.pid for process in targets if kill_exactly(process)]
        if not hit:
            break
        killed.update(hit)
        time.sleep(ROUND_SECONDS)
    return sorted(killed)


def attempts_alive(attempts: Collection[str]) -> set[str]:
    """Those of these attempts of which a process is there that says so of itself."""
    wanted = set(attempts)
    return {name for one in processes() if (name := _marker(one.pid)) is not None and name in wanted}


def _targets(recorded: set[tuple[int, int]], attempts: set[str]) -> list[Process]:
    """The recorded, the marked and the descendants of both; never this process itself."""
    table = {process.pid: process for process in processes() if process.pid != os.getpid()}
    mine = {
        pid
        for pid, process in table.items()
        if (pid, process.started) in recorded or (attempts and _marker(pid) in attempts)
    }
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    waiting = list(mine)
    while waiting:
        below = [pid for pid in children.get(waiting.pop(), ()) if pid not in mine]
        mine.update(below)
        waiting.extend(below)
    return [table[pid] for pid in mine]


def _marker(pid: int) -> str | None:
    try:
        environment = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    start = f"{MARKER}=".encode()
    for entry in environment.split(b"\0"):
        if entry.startswith(start):
            return os.fsdecode(entry[len(start) :])
    return None


def kill_exactly(process: Process) -> bool:
    """Kill this process and no other: the descriptor is opened first and the start time compared after, so
    that the id cannot have passed to another one in between."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    except OSError:  # a sandbox without that system call: compare and kill, as close together as can be
        return _is_still(process) and _killed(lambda: os.kill(process.pid, signal.SIGKILL))
    try:
        return _is_still(process) and _killed(lambda: signal.pidfd_send_signal(descriptor, signal.SIGKILL))
    finally:
        os.close(descriptor)


def _is_still(process: Process) -> bool:
    now = look_up(process.pid)
    return now is not None and now.started == process.started


def _killed(send: Callable[[], None]) -> bool:
    try:
        send()
    except (ProcessLookupError, PermissionError):
        return False
    return True
