"""Supervisor: stands between the worker and one agent where there is no PID namespace; run as a script.

    python -I -S supervisor.py WORKER_PID -- ARGV...

It adopts every orphan below the agent (`PR_SET_CHILD_SUBREAPER`), daemons in sessions of their own
included. When the agent ends, when SIGUSR1 arrives, or when the worker dies (which arrives as SIGUSR1 too),
it kills children until none is left, and then ends as the agent ended. Only direct children are killed:
they cannot vanish before they are reaped here, so a process id is never mistaken, and their own children
become ours by their death.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

agent = 0
ending = False


def main() -> None:
    global agent
    worker, argv = int(sys.argv[1]), sys.argv[3:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, pass_by)
    signal.signal(signal.SIGUSR1, end)
    libc = ctypes.CDLL(None, use_errno=True)
    requests: tuple[tuple[int, int], ...] = (
        (PR_SET_CHILD_SUBREAPER, 1),
        (PR_SET_PDEATHSIG, int(signal.SIGUSR1)),
        (PR_SET_NO_NEW_PRIVS, 1),
    )
    for request, value in requests:
        if libc.prctl(request, value, 0, 0, 0) != 0:
            sys.exit(f"supervisor: prctl({request}): {os.strerror(ctypes.get_errno())}")
    if os.getppid() != worker:  # it died before we could ask to be told
        sys.exit(1)
    agent = os.fork()
    if agent == 0:
        run(argv)
    # The pipes belong to the agent alone: its closing them must be seen by the worker.
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    if ending:
        os.kill(agent, signal.SIGKILL)
    status = wait_for_agent()
    kill_the_rest()
    leave_like(status)


def run(argv: list[str]) -> None:
    """Become the agent. A handler is reset by exec, an ignored signal is not: hence `pass_by`."""
    try:
        os.execve(argv[0], argv, given())  # noqa: S606 - no shell is wanted
    except OSError as error:
        os.write(2, f"supervisor: {argv[0]}: {error.strerror}\n".encode())
    os._exit(127)


def given() -> dict[bytes, bytes]:
    """The environment that we were started with: to its own Python adds LC_CTYPE where the locale is C."""
    entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    return dict(entry.split(b"=", 1) for entry in entries if b"=" in entry)


def pass_by(_number: int, _frame: FrameType | None) -> None:
    """A signal to the group is meant for the agent."""


def end(_number: int, _frame: FrameType | None) -> None:
    global ending
    ending = True
    if agent:
        os.kill(agent, signal.SIGKILL)


def wait_for_agent() -> int:
    global agent
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == agent:
            agent = 0
            return status


def kill_the_rest() -> None:
    while True:
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def children() -> list[int]:
    me = os.getpid()
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{me}/children").read_text().split()]
    except OSError:  # a kernel without that file
        everybody = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        return [pid for pid in everybody if parent_of(pid) == me]


def parent_of(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    return int(stat[stat.rindex(b")") + 2 :].split()[1])


def leave_like(status: int) -> None:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


if __name__ == "__main__":
    main()
