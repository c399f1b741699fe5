"""npm packages, in a prefix of the worker's own."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orchestrator.install.program import Finished, passed_on, run

CHECK_SECONDS: Final = 30.0

_VERSION: Final = re.compile(r"[\^~]?\d[0-9A-Za-z.+*_-]*")
_QUIET: Final = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")


class Npm:
    """Installs with scripts off: what a package would run on installation is not ours to run."""

    def __init__(self, prefix: Path, environment: Mapping[str, str], *, seconds: float) -> None:
        self.prefix = prefix
        self._seconds = seconds
        # Where the registry is and how to sign in there is the operator's, in his files or his environment.
        self._env = passed_on(environment, beginnings=("npm_config_", "NPM_CONFIG_"))

    @property
    def programs(self) -> Path:
        """Where the commands of the packages are."""
        return self.prefix / "bin"

    async def available(self) -> bool:
        return (await self._run("--version", seconds=CHECK_SECONDS)).ok

    async def has(self, item: str) -> bool:
        """Whether the package is there, in a version that the item accepts."""
        found = await self._run("list", "-g", _asked(item), "--depth=0", "--json", seconds=CHECK_SECONDS)
        return found.ok

    async def install(self, item: str) -> Finished:
        return await self._run("install", "-g", "--ignore-scripts", *_QUIET, item, seconds=self._seconds)

    async def _run(self, *arguments: str, seconds: float) -> Finished:
        self.prefix.mkdir(parents=True, exist_ok=True)
        command = ("npm", *arguments, f"--prefix={self.prefix}")
        # Not in the worker's directory: a project's .npmrc there would count.
        return await run(command, env=self._env, cwd=self.prefix, seconds=seconds)


def _asked(item: str) -> str:
    """The item as `npm list` understands it: tags such as `latest` say nothing about what is installed."""
    name, at, version = item[1:].partition("@")
    return item if not at or _VERSION.fullmatch(version) else item[0] + name
