"""The place of the proof: a Debian root, the wheel with what it needs, and what this host must have."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUITES = ("bookworm", "trixie")
"""Debian 12 and 13."""

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "procps", "util-linux", "ca-certificates"),
    *("git", "python3", "python3-venv", "tini", "postgresql"),
)
PROGRAMS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "nsenter": "util-linux",
    "buildah": "buildah",
    "ip": "iproute2",
}
"""What has to be there, and Debian's package of it."""


class Unable(Exception):
    """This host cannot do it; says what it lacks."""


class Failed(Exception):
    """Something is not as it has to be."""


def check_host() -> None:
    """Raises Unable with everything that is missing."""
    missing = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    reasons = []
    if os.geteuid() != 0:
        reasons.append("it needs root: namespaces, mounts and chroot are made")
    if not sys.platform.startswith("linux"):
        reasons.append("it needs Linux")
    if missing:
        reasons.append(
            f"packages are missing: apt-get install --no-install-recommends {' '.join(sorted(missing))}"
        )
    if reasons:
        raise Unable("; ".join(reasons))


def say(subject: str, text: str) -> None:
    print(f"{subject:<12} {text}", flush=True)


def run(
    argv: Sequence[str | Path],
    *,
    seconds: float = 120,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    codes: Sequence[int] = (0,),
) -> str:
    """What a program says. Raises Failed with its last words when its exit code is none of `codes`."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words, input=stdin or "", capture_output=True, text=True, timeout=seconds, env=env, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(words)}: no end within {seconds:.0f} s") from None
    if done.returncode not in codes:
        last = (done.stdout + done.stderr)[-3000:]
        raise Failed(f"{' '.join(words)}: exit code {done.returncode}\n{last}")
    return done.stdout


def base(place: Path) -> Path:
    """A Debian with nothing of ours, kept from one run to the next; the last part of `place` is its suite."""
    root, suite = place / "base", place.name
    if not (root / ".complete").exists():
        shutil.rmtree(root, ignore_errors=True)
        say("base", f"debootstrap {suite}, some minutes")
        include = ",".join(PACKAGES)
        run(["debootstrap", "--variant=minbase", f"--include={include}", suite, root], seconds=1200)
        (root / ".complete").touch()
    return root


def wheels(place: Path) -> Path:
    """This checkout as a wheel, what is locked to run it, and what is locked to build it."""
    house = place / "wheels"
    house.mkdir(parents=True, exist_ok=True)
    for old in house.glob("agent_orchestrator-*.whl"):
        old.unlink()
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    version = run(
        ["chroot", base(place), "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    )
    there = ["--only-binary=:all:", f"--python-version={version.strip()}"]
    for lock in ("runtime", "build"):
        locked = ROOT / f"requirements/{lock}.txt"
        run(
            [*pip, "download", *there, "--require-hashes", "--dest", house, "--requirement", locked],
            seconds=900,
        )
    run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", house, ROOT], seconds=300)
    return house


def installed(place: Path) -> Path:
    """A copy of the base with the program and its units, as docs/deploy.md installs them."""
    root, house = place / "root", wheels(place)
    shutil.rmtree(root, ignore_errors=True)
    run(["cp", "--archive", "--reflink=auto", base(place), root], seconds=300)
    shutil.copytree(house, root / "wheels")
    shutil.copy(ROOT / "requirements/runtime.txt", root / "wheels")
    run(["chroot", root, "python3", "-m", "venv", "/opt/orchestrator"])
    pip = ["chroot", root, "/opt/orchestrator/bin/pip", "--quiet", "--disable-pip-version-check", "install"]
    locked = ("--no-index", "--find-links=/wheels", "--require-hashes", "--requirement=/wheels/runtime.txt")
    run([*pip, *locked], seconds=600)
    (wheel,) = (root / "wheels").glob("agent_orchestrator-*.whl")
    run([*pip, "--no-deps", f"/wheels/{wheel.name}"])
    shutil.rmtree(root / "wheels")
    for source, target in FILES.items():
        run(["install", "-D", "-m", "644", ROOT / "deploy/systemd" / source, root / target])
    return root


FILES = {
    "orchestrator.service": "etc/systemd/system/orchestrator.service",
    "orchestrator-worker.service": "etc/systemd/system/orchestrator-worker.service",
    "sysusers.conf": "usr/lib/sysusers.d/orchestrator.conf",
    "tmpfiles.conf": "usr/lib/tmpfiles.d/orchestrator.conf",
}
