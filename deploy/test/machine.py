"""A booted machine: systemd as process 1 of a container of systemd-nspawn, without network."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from place import Failed, run

UNIFIED = Path("/sys/fs/cgroup/cgroup.controllers")
ONLY_UNIFIED = 'umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$@"'
"""A host with control groups of the first version shows the container a tree of the second."""

BOUND = 90.0
PROGRAM = "/opt/orchestrator/bin/orchestrator"
AS_SERVICE = (
    *("setpriv", "--reuid=orchestrator", "--regid=orchestrator", "--init-groups", "env"),
    *("ORCHESTRATOR_HOME=/var/lib/orchestrator", "ORCHESTRATOR_CONFIG=/etc/orchestrator/config.yaml"),
)


class Machine:
    def __init__(self, leader: int) -> None:
        self.leader = leader

    def run(self, *argv: str, seconds: float = BOUND, codes: Sequence[int] = (0,)) -> str:
        """A program in the machine, as root."""
        enter = ["nsenter", "--target", str(self.leader), "--all", "--", "env", "--ignore-environment"]
        path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
        return run([*enter, path, "LANG=C.UTF-8", *argv], seconds=seconds, codes=codes).strip()

    def ask(self, *arguments: str) -> Any:
        """A command of ours with the service's user and home; what it prints as JSON."""
        return json.loads(self.run(*AS_SERVICE, PROGRAM, *arguments, "--json"))

    def ask_lines(self, *arguments: str) -> list[Any]:
        """The same for a command that prints a line for each thing."""
        said = self.run(*AS_SERVICE, PROGRAM, *arguments, "--json")
        return [json.loads(line) for line in said.splitlines()]

    def ask_with_credentials(self, *arguments: str) -> str:
        """The same with the credentials of the service, as docs/deploy.md says it."""
        unit = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--uid=orchestrator"]
        unit += ["-p", "LoadCredential=database__url:orchestrator.database_url"]
        return self.run(*unit, "-E", "ORCHESTRATOR_HOME=/var/lib/orchestrator", PROGRAM, *arguments)

    def show(self, unit: str, name: str) -> str:
        return self.run("systemctl", "show", "--value", f"--property={name}", unit)

    def journal(self, unit: str) -> list[dict[str, Any]]:
        """What the unit logged, the lines that are its own."""
        lines = self.run("journalctl", "--unit", unit, "--output=cat", "--no-pager").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def processes(self, sign: str) -> list[str]:
        return self.run("pgrep", "--full", "--list-full", sign, codes=(0, 1)).splitlines()


def eventually(what: str, true: Callable[[], object], seconds: float = BOUND) -> float:
    """Wait for what another machine does in its own time. Returns how long it took."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > seconds:
            raise Failed(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)
    return time.monotonic() - began


@contextmanager
def booted(root: Path, log: Path) -> Iterator[Machine]:
    """A machine that has come up; it is powered off in the end."""
    spawn = ["systemd-nspawn", f"--directory={root}", "--boot", "--register=no", "--keep-unit"]
    spawn += ["--private-network", "--console=read-only", "--link-journal=no", "--machine=deploy-test"]
    if not UNIFIED.exists():
        shell = ["unshare", "--mount", "--propagation=private", "sh", "-ec", ONLY_UNIFIED, "sh"]
        spawn = [*shell, "env", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", *spawn]
    with log.open("w") as console:
        process = subprocess.Popen(spawn, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
    leader = 0
    try:
        eventually("systemd-nspawn starts a first process", lambda: leader_of(process.pid), 30)
        leader = leader_of(process.pid)
        machine = Machine(leader)
        eventually("the machine has booted", lambda: is_up(machine))
        yield machine
        machine.run("systemctl", "poweroff")
        process.wait(BOUND)
    except (Failed, subprocess.TimeoutExpired) as error:
        raise Failed(f"{error}\nthe console is in {log}") from error
    finally:
        for pid in filter(None, (leader, process.pid) if process.poll() is None else ()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def leader_of(nspawn: int) -> int:
    """Process 1 of the machine as this host sees it; 0 while there is none."""
    for child in children(nspawn):
        with suppress(OSError):
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return child
    return 0


def children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def is_up(machine: Machine) -> bool:
    with suppress(Failed):
        return machine.run("systemctl", "is-system-running", codes=(0, 1)) in ("running", "degraded")
    return False
