"""Where a document lives in the vault, and what a path in the vault stands for."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Literal

from orchestrator.domain.profile import ID_PATTERN

Kind = Literal["profile", "mcp_server"]

PROFILES: Final = "agent-types"
SERVERS: Final = "mcp-servers"
PROJECTS: Final = "projects"
PROFILE_FILE: Final = "profile.md"
SERVER_SUFFIX: Final = ".md"
NOTES: Final = "README.md"
"""Explains a directory to people; never a document."""

_ID = re.compile(ID_PATTERN)


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Address:
    """What a document defines. No project is the system scope; a profile of a project is its overlay."""

    kind: Kind
    id: str
    project_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Stray:
    """A directory of an old layout, which wrote `project:<project>:<id>` as a name. It is never read.

    `intended` is where the document belongs today, when the name says so.
    """

    path: str
    intended: Address | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BadName:
    """A file in the place of a document whose name is not an id; it is reported and never read."""

    path: str
    message: str


Place = Address | Stray | BadName


def is_id(text: str) -> bool:
    """Whether this may name a profile, a project or a server."""
    return _ID.fullmatch(text) is not None


def path_of(address: Address) -> str:
    """The document's path below the vault, with `/` between its parts. Raises ValueError for a bad id."""
    for part in (address.id, address.project_id):
        if part is not None and not is_id(part):
            raise ValueError(_bad_id(part))
    scope = f"{PROJECTS}/{address.project_id}/" if address.project_id is not None else ""
    if address.kind == "profile":
        return f"{scope}{PROFILES}/{address.id}/{PROFILE_FILE}"
    return f"{scope}{SERVERS}/{address.id}{SERVER_SUFFIX}"


def place_of(path: str) -> Place | None:
    """What a path below the vault stands for; `None` for everything that is nobody's business here."""
    parts = path.split("/")
    project_id: str | None = None
    if parts[0] == PROJECTS and len(parts) > 2:
        project_id, parts = parts[1], parts[2:]
    match parts:
        case [first, name, *_] if first == PROFILES and ":" in name:
            return Stray(path=path, intended=_intended(name, project_id))
        case [first, name, last] if first == PROFILES and last == PROFILE_FILE:
            return _place(path, Address(kind="profile", id=name, project_id=project_id))
        case [first, last] if first == SERVERS and last.endswith(SERVER_SUFFIX) and last != NOTES:
            name = last.removesuffix(SERVER_SUFFIX)
            return _place(path, Address(kind="mcp_server", id=name, project_id=project_id))
        case _:
            return None


def _place(path: str, address: Address) -> Address | BadName:
    for part in (address.project_id, address.id):
        if part is not None and not is_id(part):
            return BadName(path=path, message=_bad_id(part))
    return address


def _intended(name: str, project_id: str | None) -> Address | None:
    parts = name.split(":")
    if len(parts) != 3 or parts[0] != "project" or not (is_id(parts[1]) and is_id(parts[2])):
        return None
    if project_id is not None and project_id != parts[1]:
        return None
    return Address(kind="profile", id=parts[2], project_id=parts[1])


def _bad_id(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    shown = ascii(text[:80])
    if folded != text and is_id(folded):
        # On a file system that folds names the two would be one file; only one spelling is an id.
        return f"{shown} differs from the id '{folded}' only in case or Unicode form; rename it to '{folded}'"
    return f"{shown} is not an id: use at most 64 of a-z, 0-9, '.', '_' and '-', first a letter or digit"
