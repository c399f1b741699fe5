"""Whether what a manifest names is there, and putting there what is not."""

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.manifest import InstallManifest, PackageKind, is_plain_name
from orchestrator.install.npm import Npm
from orchestrator.install.pip import Pip

DIRECTORY: Final = "packages"
"""Of the worker's home: what was installed for profiles."""

INSTALL_SECONDS: Final = 300.0
USUAL_PATH: Final = "/usr/local/bin:/usr/bin:/bin"

_LOOK_AGAIN_SECONDS: Final = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What is there and what is not, as `npm:x`, `pip:x` and `cmd:x`; `issues` says it in words."""

    present: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    issues: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Provisioned:
    """`manual` is left for a person: commands, and what could not be installed. `issues` says why."""

    installed: tuple[str, ...] = ()
    already_present: tuple[str, ...] = ()
    manual: tuple[str, ...] = ()
    issues: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        return not self.manual


def program_path(home: Path, inherited: str | None) -> str:
    """The PATH of an attempt: its own first, so that no package can stand in for a tool of the system."""
    packages = home / DIRECTORY
    places = [inherited or USUAL_PATH, str(packages / "npm" / "bin"), str(packages / "pip" / "bin")]
    return os.pathsep.join(places)


class Packages:
    """The packages of one worker's home. Commands of a manifest are only looked for, never run."""

    def __init__(
        self, home: Path, *, environment: Mapping[str, str] | None = None, seconds: float = INSTALL_SECONDS
    ) -> None:
        env = os.environ if environment is None else environment
        self._path = program_path(home, env.get("PATH"))
        self._npm = Npm(home / DIRECTORY / "npm", env, seconds=seconds)
        self._pip = Pip(home / DIRECTORY / "pip", env, seconds=seconds)
        self._directory = home / DIRECTORY

    async def check(self, manifest: InstallManifest) -> Checked:
        """Raises InvalidInput for an item that is not a plain name."""
        _check_plain(manifest)
        present: list[str] = []
        missing: dict[str, str] = {}
        for name in manifest.commands:
            if shutil.which(name, path=self._path):
                present.append(f"cmd:{name}")
            else:
                missing[f"cmd:{name}"] = f"Command not found: {name}"
        npm = bool(manifest.npm) and await self._npm.available()
        for item in manifest.npm:
            if npm and await self._npm.has(item):
                present.append(f"npm:{item}")
            else:
                told = "npm package not installed" if npm else "npm not available — cannot check"
                missing[f"npm:{item}"] = f"{told}: {item}"
        for item in manifest.pip:
            if await self._pip.has(item):
                present.append(f"pip:{item}")
            else:
                missing[f"pip:{item}"] = f"pip package not installed: {item}"
        return Checked(present=tuple(present), missing=tuple(missing), issues=tuple(missing.values()))

    async def install(self, manifest: InstallManifest) -> Provisioned:
        """Install what is missing, one after the other. Raises InvalidInput, and then nothing was run."""
        async with _alone(self._directory):
            before = await self.check(manifest)
            failures: dict[str, str] = {}
            for item in before.missing:
                if (reason := await self._provide(item)) is not None:
                    failures[item] = reason
            after = await self.check(manifest) if len(failures) < len(before.missing) else before
        told = dict(zip(after.missing, after.issues, strict=True))
        return Provisioned(
            installed=tuple(item for item in before.missing if item in after.present),
            already_present=before.present,
            manual=after.missing,
            issues=tuple(failures.get(item, issue) for item, issue in told.items()),
        )

    async def _provide(self, item: str) -> str | None:
        """Why it could not be done; `None` when it was."""
        kind, _, name = item.partition(":")
        match kind:
            case "npm":
                done = await self._npm.install(name)
            case "pip":
                done = await self._pip.install(name)
            case _:
                return f"Command not found: {name}"
        return None if done.ok else f"{kind} could not install {name}: {done.why}"


@asynccontextmanager
async def _alone(directory: Path) -> AsyncIterator[None]:
    """Nobody else installs there meanwhile, in any process of this host; installers do not lock."""
    descriptor = _open(directory)
    try:
        while True:
            if _try_to_lock(descriptor):
                break
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _open(directory: Path) -> int:
    directory.mkdir(parents=True, exist_ok=True)
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _try_to_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check_plain(manifest: InstallManifest) -> None:
    kinds: dict[PackageKind, tuple[str, ...]] = {
        "npm": manifest.npm,
        "pip": manifest.pip,
        "commands": manifest.commands,
    }
    for kind, items in kinds.items():
        for item in items:
            if not is_plain_name(kind, item):
                raise InvalidInput(
                    f"install.{kind}: {item[:100]!r} is not a plain name", field=f"install.{kind}"
                )
