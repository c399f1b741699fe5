"""What a profile needs installed, as plain package names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from orchestrator.domain.errors import InvalidInput


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
