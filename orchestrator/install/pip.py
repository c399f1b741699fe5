"""pip packages, in a virtual environment of the worker's own."""

import contextlib
import importlib.metadata
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from orchestrator.install.program import Finished, passed_on, run

CHECK_SECONDS: Final = 60.0

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_INDEX: Final = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_TRUSTED_HOST"),
    *("PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY", "PIP_CONFIG_FILE", "PIP_CACHE_DIR"),
    *("PIP_DEFAULT_TIMEOUT", "PIP_RETRIES"),
)
"""Where packages come from is the operator's; where they go and how they are built is not."""

_OF_THE_ENVIRONMENT: Final = re.compile(r"(?:python|pip|activate|deactivate)[\w.-]*", re.IGNORECASE)


class Pip:
    """Installs binary packages only: building one runs its code.

    Their commands are linked to in a directory of their own. The environment's `python` and `pip` stay out of
    it: an agent that says `pip install` must not get ours.
    """

    def __init__(self, prefix: Path, environment: Mapping[str, str], *, seconds: float) -> None:
        self.prefix = prefix
        self._venv = prefix / "venv"
        self._seconds = seconds
        self._env = passed_on(environment, _INDEX)

    @property
    def programs(self) -> Path:
        """Where the commands of the packages are."""
        return self.prefix / "bin"

    async def has(self, item: str) -> bool:
        """Whether the package is there, in a version that the item accepts."""
        match = _NAME.match(item)
        name = match.group() if match else item
        if next(iter(importlib.metadata.distributions(name=name, path=self._packages())), None) is None:
            return False
        if item == name:
            return True
        # pip itself knows best what satisfies a version; without an index it can only look at what is there.
        arguments = ("install", "--dry-run", "--no-index", "--no-deps", "--quiet", item)
        return (await self._run(*arguments, seconds=CHECK_SECONDS)).ok

    async def install(self, item: str) -> Finished:
        if not (self._venv / "bin" / "python").exists():
            made = await self._create()
            if not made.ok:
                return made
        done = await self._run("install", "--only-binary=:all:", "--quiet", item, seconds=self._seconds)
        self._link()
        return done

    async def _create(self) -> Finished:
        self.prefix.mkdir(parents=True, exist_ok=True)
        command = (sys.executable, "-I", "-m", "venv", "--clear", str(self._venv))
        done = await run(command, env=self._env, cwd=self.prefix, seconds=self._seconds)
        if not done.ok:
            shutil.rmtree(self._venv, ignore_errors=True)
        return done

    async def _run(self, *arguments: str, seconds: float) -> Finished:
        python = str(self._venv / "bin" / "python")
        command = (python, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments)
        return await run(command, env=self._env, cwd=self.prefix, seconds=seconds)

    def _packages(self) -> list[str]:
        return [str(path) for path in self._venv.glob("lib/python*/site-packages")]

    def _link(self) -> None:
        """Make the directory of commands say what the environment has now."""
        self.programs.mkdir(exist_ok=True)
        wanted = {path.name: path for path in self._commands()}
        for there in self.programs.iterdir():
            if there.name not in wanted:
                there.unlink()
        for name, path in wanted.items():
            with contextlib.suppress(FileExistsError):
                (self.programs / name).symlink_to(path)

    def _commands(self) -> Iterator[Path]:
        for path in (self._venv / "bin").iterdir():
            if not _OF_THE_ENVIRONMENT.fullmatch(path.name):
                yield path
