"""What a worker costs that has nothing to do: `orchestrator up` without a task, its CPU time and its memory.

    python bench/idle.py [--seconds 30] [--command worker]

Read from /proc, so Linux only. CPU is of one core, in user and kernel mode; what the process' own children
(there are none when nothing runs) use is not in it.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from machine import describe

SETTLE = 3.0
"""Seconds after its start that do not count: loading, the first sync of the vault, the first looks."""
BOUND = 60.0
CPU_BAR = 0.5
RSS_BAR = 80.0
COMMANDS = {"up": ["up", "--no-screen"], "worker": ["worker"]}


@contextmanager
def worker(home: Path, command: list[str]) -> Iterator[int]:
    """The process id of a worker that has started, in its own empty home."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LANG": "C.UTF-8"}
    log = home / "log"
    program = [sys.executable, "-c", "from orchestrator.cli.main import main; main()"]
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            [*program, *command],
            env={**environment, "ORCHESTRATOR_HOME": str(home / "state"), "ORCHESTRATOR_API__PORT": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    try:
        deadline = time.monotonic() + BOUND
        while "worker.started" not in log.read_text(encoding="utf-8"):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(log.read_text(encoding="utf-8"))
            time.sleep(0.1)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(BOUND)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def schedules(pid: int) -> int:
    """How often one of its threads was given a core."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="utf-8").split()[2]) for task in tasks)


def mebibytes(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seconds", type=float, default=30.0)
    arguments.add_argument("--command", choices=COMMANDS, default="up")
    given = arguments.parse_args()
    seconds, command = given.seconds, COMMANDS[given.command]
    with tempfile.TemporaryDirectory() as home, worker(Path(home), command) as pid:
        time.sleep(SETTLE)
        began, cpu, woken = time.monotonic(), cpu_seconds(pid), schedules(pid)
        time.sleep(seconds)
        elapsed = time.monotonic() - began
        cpu, woken = cpu_seconds(pid) - cpu, schedules(pid) - woken
        rss, pss = mebibytes(pid, "Rss"), mebibytes(pid, "Pss")
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    share = 100 * cpu / elapsed
    print(describe("psycopg", "starlette"))
    print(f"`{' '.join(command)}`, {elapsed:.0f} s after settling for {SETTLE:.0f} s\n")
    print(f"CPU      {share:6.2f} % of a core   (bar {CPU_BAR} %)   {'met' if share < CPU_BAR else 'MISSED'}")
    print(
        f"RSS      {rss:6.1f} MiB           (bar {RSS_BAR:.0f} MiB)   {'met' if rss < RSS_BAR else 'MISSED'}"
    )
    print(f"PSS      {pss:6.1f} MiB")
    print(f"woken    {woken / elapsed:6.1f} times a second, {threads} threads")


if __name__ == "__main__":
    main()
