"""The guard: whether a call that the agent wants to make is granted; pure."""

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.domain.grants import grants
from orchestrator.domain.profile import EffectiveProfile
from orchestrator.domain.tools import PATH_TOOLS, canonical

PATH_ARGUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "Read": ("file_path",),
    "Edit": ("file_path",),
    "Write": ("file_path",),
    "NotebookEdit": ("notebook_path",),
    "Grep": ("path",),
    "Glob": ("path",),
}
"""Where each path tool has its paths. The working directory stands in for one that is absent, where that
is legal."""

OPTIONAL_PATH: Final = frozenset({"Grep", "Glob"})
WRITING: Final = frozenset({"Edit", "NotebookEdit", "Write"})

GLOB_CHARACTERS: Final = frozenset("*?[]{}!")

Resolve = Callable[[str], str]
"""An absolute path with every link in it followed, as far as it exists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether a call goes on. The reason names the rule; the agent reads it when it is refused."""

    granted: bool
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Territory:
    """Where the path tools may go; absolute, links followed."""

    checkout: str
    writable: tuple[str, ...]
    """The checkout and the directories that were added."""
    readable: tuple[str, ...]
    """What may be read beside these: where the command line itself puts results too big for a message."""


def decide(
    effective: EffectiveProfile,
    territory: Territory,
    tool: str,
    arguments: object,
    *,
    cwd: str,
    resolve: Resolve,
) -> Verdict:
    """The verdict on one call. Anything not understood is refused."""
    name = canonical(tool)
    if not grants(effective, tool):
        return _refused(effective, f"{tool} is not granted")
    if not isinstance(arguments, Mapping):
        return _refused(effective, f"{tool} was called with arguments of an unknown form")
    if name not in PATH_TOOLS:
        return Verdict(granted=True, reason="granted by name")
    return _confined(effective, territory, name, arguments, cwd=cwd, resolve=resolve)


def _confined(
    effective: EffectiveProfile,
    territory: Territory,
    tool: str,
    arguments: Mapping[str, Any],
    *,
    cwd: str,
    resolve: Resolve,
) -> Verdict:
    places = territory.writable if tool in WRITING else (*territory.writable, *territory.readable)
    paths = _paths(tool, arguments)
    if paths is None:
        return _refused(effective, f"{tool} was called with a path of an unknown form")
    for path in paths:
        real = _real(path, cwd=cwd, resolve=resolve)
        if real is None or not any(_beneath(real, place) for place in places):
            return _refused(
                effective, f"{tool} may not reach {path!r}, outside its checkout {territory.checkout}"
            )
    return Verdict(granted=True, reason="granted within the checkout")


def _paths(tool: str, arguments: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Every path a call would touch; `None` for a form that is not understood."""
    found: list[str] = []
    for key in PATH_ARGUMENTS.get(tool, ()):
        value = arguments.get(key)
        if value in (None, "") and tool in OPTIONAL_PATH:
            value = "."
        if not isinstance(value, str) or not value or "\0" in value:
            return None
        found.append(value)
    if not found:
        return None
    if tool == "Glob":
        pattern = arguments.get("pattern")
        if not isinstance(pattern, str) or "\0" in pattern:
            return None
        found += _reach_of(pattern, found[0])
    if tool == "Grep" and not isinstance(arguments.get("glob", ""), str):
        return None
    return tuple(found)


def _reach_of(pattern: str, base: str) -> list[str]:
    """The directory a pattern begins in; an absolute pattern ignores the path beside it.

    One that climbs, or has alternatives that begin at the root or at a home, counts as the root.
    """
    if ".." in re.split(r"[/,{}]", pattern) or re.search(r"[{,][/~]", pattern):
        return ["/"]
    parts = pattern.split("/")
    fixed = next((at for at, part in enumerate(parts) if GLOB_CHARACTERS & set(part)), len(parts))
    start = "/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else ".")
    return [start if start.startswith(("/", "~")) else posixpath.join(base, start)]


def _real(path: str, *, cwd: str, resolve: Resolve) -> str | None:
    """Where a path leads, links followed; `None` when that depends on a home directory or cannot be said."""
    if path.startswith("~"):
        return None
    absolute = path if path.startswith("/") else posixpath.join(cwd, path)
    try:
        return resolve(absolute)
    except (OSError, ValueError):  # a loop of links, a name that the file system cannot have
        return None


def _beneath(path: str, place: str) -> bool:
    return path == place or path.startswith(place.rstrip("/") + "/")


def _refused(effective: EffectiveProfile, why: str) -> Verdict:
    return Verdict(granted=False, reason=f"Refused by profile {effective.profile_id}: {why}.")
