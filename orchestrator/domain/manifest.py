"""What a profile needs installed, as plain package names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from orchestrator.domain.errors import InvalidInput

PackageKind = Literal["npm", "pip", "commands"]

_VERSION: Final = r"[0-9A-Za-z][0-9A-Za-z.+!*_-]{0,63}"
_COMPARED: Final = rf"(?:===|==|~=|!=|<=|>=|<|>){_VERSION}"
_PLAIN: Final[Mapping[PackageKind, re.Pattern[str]]] = {
    "npm": re.compile(
        r"(?:@[a-z0-9~][a-z0-9._~-]{0,99}/)?[a-z0-9~][a-z0-9._~-]{0,99}" rf"(?:@[\^~]?{_VERSION})?"
    ),
    "pip": re.compile(
        r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"
        r"(?:\[[A-Za-z0-9._-]{1,50}(?:,[A-Za-z0-9._-]{1,50}){0,9}\])?"
        rf"(?:{_COMPARED}(?:,{_COMPARED}){{0,4}})?"
    ),
    "commands": re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,99}"),
}


def is_plain_name(kind: PackageKind, item: str) -> bool:
    """Whether an item is a package's name with at most a version, or the bare name of a command.

    Installers take much more in that place (URLs, paths, version-control links, options), and run it.
    """
    return _PLAIN[kind].fullmatch(item) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallManifest:
    """Dependencies of a profile: npm and pip packages by name, and commands that must be on PATH."""

    npm: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read the stored form; missing lists are empty. Raises InvalidInput naming the list."""

        def names(key: str) -> tuple[str, ...]:
            value = data.get(key, ())
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise InvalidInput(f"install.{key} must be a list of strings", field=f"install.{key}")
            for index, item in enumerate(value):
                if not isinstance(item, str) or not item.strip():
                    where = f"install.{key}[{index}]"
                    raise InvalidInput(f"{where} must be a non-empty string", field=where)
            return tuple(value)

        return cls(npm=names("npm"), pip=names("pip"), commands=names("commands"))

    def to_dict(self) -> dict[str, list[str]]:
        """The stored form; empty lists are left out."""
        lists = {"npm": self.npm, "pip": self.pip, "commands": self.commands}
        return {key: list(value) for key, value in lists.items() if value}

    @property
    def is_empty(self) -> bool:
        return not (self.npm or self.pip or self.commands)
