"""Find the command line, and ask it for its version."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.domain.errors import StartRefused
from orchestrator.harness.claude.versions import Behaviour, behaviour_of, parse_version, written

PROGRAM: Final = "claude"

VERSION_SECONDS: Final = 30.0
"""How long `--version` may take. It was seen to take 0.1 s, and more while a cold binary of 370 MB is
read."""

WAY_OUT: Final = (
    "Install Claude Code, or this program with its extra `claude` (README.md, Install), or give the path of "
    "the executable in the settings (`claude.cli_path`)."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cli:
    """A usable command line."""

    path: str
    version: str
    behaviour: Behaviour
    source: str
    """Where it was found: `setting`, `PATH` or `extra`."""
    warning: str | None = None


class CliFinder:
    """Finds the command line and remembers what it learned of a file for as long as that file stays the
    same."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], Cli] = {}

    def find(self, setting: str | None = None, *, search: str | None = None) -> Cli:
        """The one named by the setting, else on PATH (`search`, by default our own), else in the optional
        extra.

        Blocks for as long as the program takes to print its version. Raises StartRefused when there is
        none, or when the first one found is unusable; another one is not tried then, since the operator
        meant this one.
        """
        path, source = _locate(setting, search)
        try:
            status = Path(path).stat()
        except OSError as error:
            raise StartRefused(
                f"Claude Code at {path} cannot be read: {error.strerror}. {WAY_OUT}"
            ) from error
        key = (path, status.st_mtime_ns, status.st_size)
        if key not in self._known:
            self._known[key] = _ask(path, source)
        return self._known[key]


def _locate(setting: str | None, search: str | None) -> tuple[str, str]:
    if setting is not None:
        path = Path(setting).expanduser().absolute()
        if not path.is_file():
            raise StartRefused(f"There is no Claude Code at {path}, the path in the settings. {WAY_OUT}")
        if not os.access(path, os.X_OK):
            raise StartRefused(f"{path} is not executable; run `chmod +x` on it. {WAY_OUT}")
        return str(path), "setting"
    on_path = shutil.which(PROGRAM, path=search)
    if on_path is not None:
        return str(Path(on_path).absolute()), "PATH"
    for bundled in _bundled():
        if os.access(bundled, os.X_OK):
            return str(bundled), "extra"
    raise StartRefused(f"Claude Code was not found: no `{PROGRAM}` on PATH, and no extra. {WAY_OUT}")


def _bundled() -> Iterator[Path]:
    """Where the extra keeps the executable; its Python code is not imported."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        yield Path(place) / "_bundled" / PROGRAM


def _ask(path: str, source: str) -> Cli:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    try:
        done = subprocess.run(
            [path, "--version"],
            env={**environment, "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VERSION_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StartRefused(
            f"{path} printed no version within {VERSION_SECONDS:.0f} s; check that it is Claude Code. "
            f"{WAY_OUT}"
        ) from error
    except OSError as error:
        raise StartRefused(f"{path} cannot be run: {error.strerror or error}. {WAY_OUT}") from error
    said = done.stdout.decode("utf-8", "replace").strip()
    number = parse_version(said)
    if done.returncode != 0 or number is None:
        what = (said or done.stderr.decode("utf-8", "replace").strip())[:200]
        raise StartRefused(
            f"{path} does not look like Claude Code: `--version` ended with {done.returncode}, {what!r}. "
            f"{WAY_OUT}"
        )
    try:
        behaviour, warning = behaviour_of(number)
    except LookupError:
        raise StartRefused(
            f"Claude Code {written(number)} at {path} is too old; 2.1.197 is the oldest supported. {WAY_OUT}"
        ) from None
    return Cli(path=path, version=written(number), behaviour=behaviour, source=source, warning=warning)
