"""The container image: built from a Debian root, and run as its own configuration says, read only."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import BOUND, children, eventually
from place import ROOT, Failed, base, run, say, wheels

BASE = "localhost/orchestrator-deploy-base"
IMAGE = "localhost/orchestrator-deploy-test"

CONFINED = """
root="$1" state="$2" masked="$3"; shift 3
ip link set lo up
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o nosuid,mode=755 tmpfs "$root/dev"
for device in null zero full random urandom; do
  touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm"; mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$root/tmp"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
if [ "$masked" = masked ]; then
  mount --bind "$root/proc/sys" "$root/proc/sys"; mount -o remount,bind,ro "$root/proc/sys"
  [ ! -e "$root/proc/kcore" ] || mount --bind /dev/null "$root/proc/kcore"
fi
mount --bind "$state" "$root/var/lib/orchestrator"
cd "$root"; pivot_root . .; umount -l .
exec "$@"
"""
"""What an engine does for `--read-only --tmpfs /tmp --volume state:/var/lib/orchestrator`. Engines also mask
a part of /proc, unless they are told not to."""

HOLDS = {"masked": "supervisor", "unmasked": "user-and-pid-namespace"}
"""What holds an agent together in there: the kernel gives nobody a whole /proc who has a masked one."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image as it was built, mounted."""

    root: Path
    user: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: dict[str, str]


def prove(place: Path) -> None:
    """Raises Failed at the first thing that is not so."""
    buildah = ["buildah", "--root", str(place / "images"), "--runroot", str(place / "run-images")]
    try:
        build(buildah, place)
        with mounted(buildah) as image:
            say("image", f"user {image.user}, root read only, no network, no capabilities")
            for masked in HOLDS:
                works(image, place, masked=masked)
    finally:
        run([*buildah, "rm", "--all"], codes=(0, 1, 125))
        run([*buildah, "rmi", "--all", "--force"], codes=(0, 1, 125))


def build(buildah: list[str], place: Path) -> None:
    root, house = base(place), wheels(place)
    empty = run([*buildah, "from", "scratch"]).strip()
    run([*buildah, "add", empty, root, "/"], seconds=600)
    run([*buildah, "commit", "--quiet", "--rm", empty, BASE], seconds=600)
    began = time.monotonic()
    arguments = {"BASE": BASE, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
    given = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    run(
        [
            *buildah,
            *("build", "--isolation", "chroot", "--quiet", "--pull-never", "--volume", f"{house}:/wheels:ro"),
            *given,
            *("--file", ROOT / "deploy/container/Containerfile", "--tag", IMAGE, ROOT),
        ],
        seconds=1200,
    )
    say("image", f"built in {time.monotonic() - began:.0f} s with --isolation chroot")


@contextmanager
def mounted(buildah: list[str]) -> Iterator[Image]:
    container = run([*buildah, "from", "--pull-never", IMAGE]).strip()
    config = json.loads(run([*buildah, "inspect", "--type", "image", IMAGE]))["OCIv1"]["config"]
    image = Image(
        root=Path(run([*buildah, "mount", container]).strip()),
        user=config["User"],
        entrypoint=tuple(config["Entrypoint"]),
        command=tuple(config["Cmd"]),
        environment=dict(entry.split("=", 1) for entry in config["Env"]),
    )
    try:
        yield image
    finally:
        run([*buildah, "umount", container])


class Container:
    """The image at work, in namespaces of its own and without network."""

    def __init__(self, image: Image, state: Path, log: Path, *, masked: str) -> None:
        self.image = image
        self.log = log
        unshare = ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child=KILL"]
        shell = ["sh", "-ec", CONFINED, "sh", str(image.root), str(state), masked]
        command = [*image.entrypoint, *image.command, "--script", "/var/lib/orchestrator/rehearsal.json"]
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [*unshare, "--propagation=private", *shell, *self.as_user(), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def as_user(self) -> list[str]:
        user, group = self.image.user.split(":")
        identity = [f"--reuid={user}", f"--regid={group}", "--clear-groups"]
        privileges = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        entries = [f"{name}={value}" for name, value in self.image.environment.items()]
        return ["setpriv", *identity, *privileges, "env", "--ignore-environment", *entries]

    def run(self, *argv: str, codes: Sequence[int] = (0,)) -> str:
        (leader,) = children(self.process.pid)
        spaces = ("--mount", "--pid", "--net", "--ipc", "--uts")
        return run(["nsenter", f"--target={leader}", *spaces, "--", *self.as_user(), *argv], codes=codes)

    def ask(self, *arguments: str) -> Any:
        return json.loads(self.run("orchestrator", *arguments, "--json"))

    def said(self, event: str) -> list[dict[str, Any]]:
        if self.process.poll() is not None:
            raise Failed(f"it has ended with exit code {self.process.returncode}")
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == event]

    def stop(self) -> int:
        """As the hook of the Kubernetes manifests does."""
        self.run("kill", "-TERM", "1")
        return self.process.wait(BOUND)


def works(image: Image, place: Path, *, masked: str) -> None:
    state = place / "state"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(mode=0o700)
    user, group = image.user.split(":")
    if user == "0":
        raise Failed("the image runs as root")
    shutil.copy(ROOT / "deploy/test/rehearsal.json", state)
    for path in (state, state / "rehearsal.json"):
        os.chown(path, int(user), int(group))
    container = Container(image, state, place / "image.log", masked=masked)
    try:
        lives(container, masked)
    except (Failed, subprocess.TimeoutExpired) as error:
        raise Failed(f"{error}\n{container.log.read_text()[-3000:]}") from error
    finally:
        container.process.kill()
        container.process.wait()


def lives(container: Container, masked: str) -> None:
    """From its start to its stop."""
    eventually("it listens", lambda: container.said("api.listening"))
    answered(container)
    held = completes(container)
    if held != HOLDS[masked]:
        raise Failed(f"with /proc {masked}, {HOLDS[masked]} was to hold an agent, and {held} did")
    code = container.stop()
    if code != 0:
        raise Failed(f"SIGTERM: exit code {code}")
    say("image", f"/proc {masked}: a task ended, held by {held}; SIGTERM: exit code {code}")


def answered(container: Container) -> None:
    """It is nobody special, writes nowhere but where it may, and answers probes."""
    refused = container.run("sh", "-c", "touch /var/tmp/here 2>&1 || true")
    if "Read-only file system" not in refused:
        raise Failed(f"the root can be written: {refused}")
    probe = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8420/readyz', timeout=20).status)"
    eventually("it is ready", lambda: container.run("python3", "-c", probe, codes=(0, 1)).strip() == "200")


def completes(container: Container) -> str:
    """What held the agent of a task that completed."""
    container.ask("project", "add", "acme", "--profile", "coder")
    task = container.ask("task", "add", "Say done", "--project", "acme")["created"]
    eventually("the task completes", lambda: container.ask("task", "show", task)["state"] == "COMPLETED")
    return str(container.said("agent.started")[0]["containment"])
