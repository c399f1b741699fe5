"""The units on a booted machine: ready, killed, hung, drained, on SQLite and on PostgreSQL."""

import json
import re
import time
from pathlib import Path

from machine import PROGRAM, Machine, booted, eventually
from place import ROOT, Failed, say

UNIT = "orchestrator.service"
WORKER = "orchestrator-worker.service"
EXPOSURE = 3.0
"""Of `systemd-analyze security`: 0 is best, 10 worst, and a unit that says nothing has 9.6."""

WATCHDOG_SECONDS = 4
DRAIN_SECONDS = 2
DAEMON = "sleep 98765"
"""What the rehearsal's stuck agent leaves in a session of its own."""

KEY = "sk-not-a-key"


def prove(root: Path, log: Path) -> None:
    """Raises Failed at the first thing that is not so."""
    prepare(root)
    with booted(root, log) as machine:
        units_are_sound(machine)
        becomes_ready(machine)
        secrets_are_files(machine)
        runs_a_task(machine)
        survives_a_kill(machine)
        survives_a_hang(machine)
        drains(machine)
        works_on_postgresql(machine)
        tasks_ended_once(machine)


def prepare(root: Path) -> None:
    """The machine's own part: a rehearsal, short times, credentials."""
    configured = root / "etc/orchestrator"
    configured.mkdir(exist_ok=True)
    script = (ROOT / "deploy/test/rehearsal.json").read_text()
    (configured / "rehearsal.json").write_text(script)
    (configured / "config.yaml").write_text(
        f"worker: {{drain_seconds: {DRAIN_SECONDS}, lease_seconds: 10}}\n"
    )
    for unit, command in ((UNIT, "up --no-screen"), (WORKER, "worker")):
        drop_in = root / f"etc/systemd/system/{unit}.d/rehearsal.conf"
        drop_in.parent.mkdir(exist_ok=True)
        drop_in.write_text(
            f"[Service]\nWatchdogSec={WATCHDOG_SECONDS}\nExecStart=\n"
            f"ExecStart={PROGRAM} {command} --script /etc/orchestrator/rehearsal.json\n"
        )
    store = root / "etc/credstore"
    store.mkdir(mode=0o700, exist_ok=True)
    (store / "orchestrator.anthropic_api_key").write_text(KEY)


def units_are_sound(machine: Machine) -> None:
    said = machine.run("systemd-analyze", "verify", UNIT, WORKER)
    if said:
        raise Failed(f"systemd-analyze verify: {said}")
    say("verify", "nothing to say about the units")
    for unit in (UNIT, WORKER):
        report = machine.run("systemd-analyze", "security", "--no-pager", unit)
        figure = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
        if figure is None or float(figure[1]) >= EXPOSURE:
            raise Failed(f"exposure is not below {EXPOSURE}:\n{report}")
        say("security", f"{unit}: exposure {figure[1]}")


def becomes_ready(machine: Machine) -> None:
    machine.run("systemctl", "start", UNIT)
    entered, began = (
        int(machine.show(UNIT, name))
        for name in ("ActiveEnterTimestampMonotonic", "ExecMainStartTimestampMonotonic")
    )
    cgroup = Path(f"/sys/fs/cgroup{machine.show(UNIT, 'ControlGroup')}")
    owner = machine.run("stat", "--format=%U", str(cgroup))
    if owner != "orchestrator":
        raise Failed(f"the control group is not delegated: {cgroup} belongs to {owner}")
    say("ready", f"READY=1 after {(entered - began) / 1e6:.1f} s; its control group belongs to {owner}")
    machine.ask("project", "add", "acme", "--profile", "coder")


def secrets_are_files(machine: Machine) -> None:
    main = machine.show(UNIT, "MainPID")
    if KEY in machine.run("cat", f"/proc/{main}/environ"):
        raise Failed("the key is in the environment")
    place = f"/run/credentials/{UNIT}"
    seen = machine.run(
        "setpriv", "--reuid=orchestrator", "--clear-groups", "cat", f"{place}/ANTHROPIC_API_KEY"
    )
    machine.run("setpriv", "--reuid=nobody", "--clear-groups", "ls", place, codes=(2,))
    if seen != KEY:
        raise Failed(f"the credential is not there: {seen!r}")
    say("credentials", "a file that only the service reads; nothing in its environment")


def runs_a_task(machine: Machine) -> None:
    endings = completes(machine, machine.ask("task", "add", "Say done", "--project", "acme")["created"])
    started = next(line for line in machine.journal(UNIT) if line["event"] == "agent.started")
    held = started["containment"]
    if held != "user-and-pid-namespace":
        raise Failed(f"an agent was held by {held}")
    say("task", f"attempts ended: {endings}; the agent was held by {held}, as the journal says")


def stuck(machine: Machine) -> str:
    """A task whose agent has left a daemon and now hears nothing."""
    created = machine.ask("task", "add", "Now get stuck", "--project", "acme")["created"]
    eventually("the agent's daemon runs", lambda: machine.processes(DAEMON))
    return str(created)


def completes(machine: Machine, task: str) -> list[str]:
    """Wait until it has; returns how its attempts ended."""
    eventually(f"{task} completes", lambda: machine.ask("task", "show", task)["state"] == "COMPLETED")
    return [one["outcome"] for one in machine.ask("task", "show", task)["attempts"]]


def survives_a_kill(machine: Machine) -> None:
    task = stuck(machine)
    before = machine.show(UNIT, "MainPID")
    machine.run("kill", "-9", before)
    gone = eventually("everything the agent started is gone", lambda: not machine.processes(DAEMON))
    eventually("systemd starts it again", lambda: machine.show(UNIT, "MainPID") not in (before, "0"))
    endings = completes(machine, task)
    restarts = machine.show(UNIT, "NRestarts")
    say("kill -9", f"nothing left after {gone:.1f} s, restarts {restarts}; attempts ended: {endings}")
    if restarts != "1" or len(endings) != 2:
        raise Failed("one restart and two attempts were expected")


def survives_a_hang(machine: Machine) -> None:
    eventually("it is active", lambda: machine.run("systemctl", "is-active", UNIT, codes=(0, 3)) == "active")
    before = machine.show(UNIT, "MainPID")
    machine.run("kill", "-STOP", before)
    waited = eventually("the watchdog ends it", lambda: machine.show(UNIT, "MainPID") not in (before, "0"))
    eventually("it is active", lambda: machine.run("systemctl", "is-active", UNIT, codes=(0, 3)) == "active")
    told = machine.run(
        "journalctl", "--unit", UNIT, "--output=cat", "--grep=[Ww]atchdog timeout", "--no-pager"
    )
    say("watchdog", f"a stopped loop was replaced after {waited:.1f} s: {told.splitlines()[-1]}")


def drains(machine: Machine) -> None:
    task = stuck(machine)
    began = time.monotonic()
    machine.run("systemctl", "stop", UNIT)
    took = time.monotonic() - began
    result, status = machine.show(UNIT, "Result"), machine.show(UNIT, "ExecMainStatus")
    left = machine.processes(DAEMON)
    state = machine.ask("task", "show", task)["state"]
    if (result, status, left) != ("success", "0", []) or state not in ("READY", "PAUSED"):
        raise Failed(f"stop: {result}, exit code {status}, left: {left}, the task is {state}")
    machine.run("systemctl", "start", UNIT)
    endings = completes(machine, task)
    say("drain", f"{took:.1f} s with {DRAIN_SECONDS} s of grace, exit code 0; attempts ended: {endings}")
    machine.run("systemctl", "stop", UNIT)


def works_on_postgresql(machine: Machine) -> None:
    """The plain worker, whose database is a credential: nothing about it is in any environment."""
    eventually(
        "PostgreSQL is up",
        lambda: machine.run("pg_isready", codes=(0, 1, 2)).endswith("accepting connections"),
    )
    for command in ("createuser orchestrator", "createdb --owner=orchestrator orchestrator"):
        machine.run("runuser", "-u", "postgres", "--", *command.split())
    url = "postgresql://orchestrator@/orchestrator?host=/var/run/postgresql"
    machine.run("sh", "-c", f"umask 077; echo '{url}' > /etc/credstore/orchestrator.database_url")
    machine.ask_with_credentials("migrate")
    machine.run("systemctl", "start", WORKER)
    machine.ask_with_credentials("project", "add", "acme", "--profile", "coder")
    said = machine.ask_with_credentials("task", "add", "Say done", "--project", "acme", "--wait", "--json")
    (worker,) = json.loads(machine.ask_with_credentials("worker", "list", "--json"))["workers"]
    machine.ask_with_credentials("worker", "drain", worker["id"])
    eventually("it drains and stays down", lambda: machine.show(WORKER, "ActiveState") == "inactive")
    places = [line["database"] for line in machine.journal(WORKER) if line["event"] == "app.started"]
    say(
        "postgresql",
        f"{WORKER}: a task ended on {places[-1]}; drained from afar: {machine.show(WORKER, 'Result')}",
    )
    if machine.show(WORKER, "Result") != "success" or '"state": "COMPLETED"' not in said:
        raise Failed("the worker did not end well")
    machine.run("rm", "/etc/credstore/orchestrator.database_url")


def tasks_ended_once(machine: Machine) -> None:
    said = machine.run(
        "journalctl", "--boot", "--output=cat", "--no-pager", "--grep=segfault|core-dump", codes=(0, 1)
    )
    ended: dict[str, int] = {}
    for event in machine.ask_lines("events"):
        if event["type"] == "task.completed":
            ended[event["subject"]] = ended.get(event["subject"], 0) + 1
    if len(ended) != 3 or set(ended.values()) != {1}:
        raise Failed(f"three tasks were to end once each: {ended}; {said}")
    say("once", f"{len(ended)} tasks, each ended once")
