"""What deploy/ says is what the program has: settings, ports, commands, times, versions."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator import __version__
from orchestrator.api.security import HEALTH_PATHS, allowed_hosts
from orchestrator.cli import exit_codes
from orchestrator.cli.menu import SINGLE
from orchestrator.harness.claude.config import CREDENTIALS
from orchestrator.settings import Settings, load
from orchestrator.settings.sources import NOT_SETTINGS, known_keys

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
CONTAINERFILE = (DEPLOY / "container/Containerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "container/compose.yaml").read_text())
MANIFESTS = [
    document
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]
SETS = [one for one in MANIFESTS if one["kind"] == "StatefulSet"]
DEFAULTS = load(environment={"ORCHESTRATOR_HOME": "/nowhere"}).settings
NAMES = {f"ORCHESTRATOR_{key.upper().replace('.', '__')}" for key in known_keys()} | NOT_SETTINGS
PORT = DEFAULTS.api.port
SLACK = 30.0
"""Seconds beyond the grace of a drain: agents are interrupted, ended and recorded in it."""


def unit(path: Path) -> dict[str, list[str]]:
    """The values of each key; a section or a comment is none."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        assert re.fullmatch(r"(#.*|\[\w+\]|[A-Z]\w+=.*|)", line), f"{path.name}: {line}"
        if not line.startswith(("#", "[")) and line:
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def templates() -> Iterator[dict[str, Any]]:
    for one in SETS:
        spec = one["spec"]["template"]["spec"]
        yield from [*spec.get("initContainers", ()), *spec["containers"]]


def test_every_variable_that_is_set_is_a_setting() -> None:
    set_here = [value.partition("=")[0] for path in UNITS for value in unit(path)["Environment"]]
    set_here += re.findall(r"\b(ORCHESTRATOR_\w+)=", CONTAINERFILE)
    set_here += [name for one in COMPOSE["services"].values() for name in one.get("environment", ())]
    set_here += [entry["name"] for one in templates() for entry in one.get("env", ())]
    ours = {name for name in set_here if name.startswith("ORCHESTRATOR_")}
    assert len(ours) > 5
    assert ours <= NAMES


def test_every_credential_is_a_setting_or_what_an_agent_is_given() -> None:
    keys = {key.replace(".", "__") for key in known_keys()}
    given = [value.partition(":")[0] for path in UNITS for value in unit(path)["LoadCredential"]]
    given += [name for one in COMPOSE["services"].values() for name in one.get("secrets", ())]
    assert set(given) - {"database_password"} <= keys | set(CREDENTIALS)


def test_every_command_that_is_started_exists() -> None:
    started = [value.split()[1] for path in UNITS for value in unit(path)["ExecStart"]]
    started += [one["command"][0] for one in COMPOSE["services"].values() if "command" in one]
    started += [one["args"][0] for one in templates()]
    started += re.findall(r'^CMD \["(\w+)"', CONTAINERFILE, re.MULTILINE)
    assert set(started) == {"up", "worker", "migrate"}
    assert set(started) <= SINGLE.keys()


def test_the_units_differ_in_what_they_run_and_in_nothing_else() -> None:
    first, second = (unit(path) for path in UNITS)
    differing = {key for key in first.keys() | second.keys() if first.get(key) != second.get(key)}
    assert differing == {"Description", "ExecStart"}


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_the_unit_waits_longer_than_a_drain_takes_and_stays_down_when_misconfigured(path: Path) -> None:
    keys = unit(path)
    assert float(keys["TimeoutStopSec"][0]) >= DEFAULTS.worker.drain_seconds + SLACK
    assert keys["RestartPreventExitStatus"] == [str(exit_codes.CONFIGURATION)]
    assert keys["KillMode"] == ["mixed"]
    assert keys["OOMPolicy"] == ["continue"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_the_unit_covers_no_part_of_proc_and_lets_agents_make_their_namespaces(path: Path) -> None:
    keys = unit(path)
    for covering in ("ProtectKernelTunables", "ProtectKernelLogs", "ProtectHostname"):
        assert keys[covering] == ["no"]
    assert {"user", "pid", "mnt"} == set(keys["RestrictNamespaces"][0].split())
    assert {"mount", "umount2"} < set(keys["SystemCallFilter"][0].split())


def test_containers_are_stopped_no_sooner_than_a_drain_takes(tmp_path: Path) -> None:
    for one in COMPOSE["services"].values():
        if "stop_grace_period" in one:
            assert int(one["stop_grace_period"].removesuffix("s")) >= DEFAULTS.worker.drain_seconds + SLACK
    drain = settings_of_the_cluster(tmp_path).worker.drain_seconds
    for one in SETS:
        spec = one["spec"]["template"]["spec"]
        (hook,) = re.findall(
            r"sleep (\d+)", spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][2]
        )
        assert drain + SLACK <= int(hook) < spec["terminationGracePeriodSeconds"]


def settings_of_the_cluster(tmp_path: Path) -> Settings:
    (document,) = [one for one in MANIFESTS if one["kind"] == "ConfigMap"]
    (tmp_path / "config.yaml").write_text(document["data"]["config.yaml"])
    return load(environment={"ORCHESTRATOR_HOME": str(tmp_path)}).settings


def test_ports_and_paths_are_those_that_answer(tmp_path: Path) -> None:
    assert f"EXPOSE {PORT}" in CONTAINERFILE
    assert COMPOSE["services"]["server"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert f"http://127.0.0.1:{PORT}/readyz" in COMPOSE["services"]["server"]["healthcheck"]["test"][3]
    named = settings_of_the_cluster(tmp_path).api.allowed_hosts
    hosts = allowed_hosts(PORT, bound="0.0.0.0", named=named)
    for one in SETS:
        (container,) = one["spec"]["template"]["spec"]["containers"]
        assert [port["containerPort"] for port in container["ports"]] == [PORT]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container[probe]["httpGet"]
            assert asked["path"] in HEALTH_PATHS
            assert {header["value"] for header in asked["httpHeaders"]} <= hosts
    services = {one["metadata"]["name"]: one for one in MANIFESTS if one["kind"] == "Service"}
    assert {one["spec"]["serviceName"] for one in SETS} == services.keys()
    assert {port["port"] for one in services.values() for port in one["spec"]["ports"]} == {PORT}
    assert {f"{name}:{PORT}" for name in ("orchestrator", "orchestrator.orchestrator.svc")} <= hosts


def test_what_the_manifests_name_is_there() -> None:
    kustomization = next(one for one in MANIFESTS if one["kind"] == "Kustomization")
    others = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == others
    for one in SETS:
        template = one["spec"]["template"]
        assert one["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        volumes = {volume["name"] for volume in template["spec"]["volumes"]}
        volumes |= {claim["metadata"]["name"] for claim in one["spec"]["volumeClaimTemplates"]}
        for container in [*template["spec"].get("initContainers", ()), *template["spec"]["containers"]]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert str(template["spec"]["securityContext"]["runAsUser"]) in CONTAINERFILE


def test_each_worker_has_a_volume_of_its_own() -> None:
    states = Counter(
        volume
        for name, one in COMPOSE["services"].items()
        if name != "migrate"
        for volume in one.get("volumes", ())
    )
    assert set(states.values()) == {1}
    assert {volume.partition(":")[0] for volume in states} == COMPOSE["volumes"].keys()


def test_what_the_image_is_built_from_is_there_and_let_through() -> None:
    sources = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", CONTAINERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    }
    let_through = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert "orchestrator" in sources
    assert sources == let_through
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_versions_are_those_of_the_program() -> None:
    kustomization = next(one for one in MANIFESTS if one["kind"] == "Kustomization")
    assert f'org.opencontainers.image.version="{__version__}"' in CONTAINERFILE
    assert [image["newTag"] for image in kustomization["images"]] == [__version__]
    assert {one["image"] for name, one in COMPOSE["services"].items() if name != "database"} == {
        f"orchestrator:{__version__}"
    }


@pytest.mark.parametrize("name", ["runtime", "build"])
def test_what_runs_in_production_is_what_was_tested(name: str) -> None:
    def locked(path: Path) -> set[str]:
        return set(re.findall(r"^([\w.-]+(?:\[\w+\])?==\S+)", path.read_text(), re.MULTILINE))

    tested = locked(ROOT / "requirements/dev.txt")
    assert locked(ROOT / f"requirements/{name}.txt") <= tested


def test_the_proof_says_where_it_cannot_run() -> None:
    """Nothing is on the PATH here."""
    environment = {key: value for key, value in os.environ.items() if key != "PATH"} | {"PATH": "/nowhere"}
    done = subprocess.run(
        [sys.executable, DEPLOY / "test"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 77
    assert "systemd-container" in done.stderr
