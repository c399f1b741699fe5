"""Harnesses and the permission modes each of them has."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

DEFAULT_HARNESS: Final = "claude"

HARNESSES: Final = ("claude", "codex", "opencode", "droid")

PERMISSION_MODES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"claude": ("default", "acceptEdits", "plan", "dontAsk", "bypassPermissions", "auto")}
)
"""Modes by harness, as measured with the versions supported. A harness that is not here has its own
vocabulary, checked by its adapter."""

MODE_ALIASES: Final[Mapping[str, str]] = MappingProxyType({"manual": "default"})
"""Other spellings of a mode. Newer versions of Claude Code say `manual`; all of them accept `default`."""


def canonical_mode(mode: str) -> str:
    """The spelling that every supported version accepts."""
    return MODE_ALIASES.get(mode, mode)


def modes_of(harness: str | None) -> tuple[str, ...] | None:
    """The modes of a harness; `None` when its vocabulary is not known here.

    Without a harness (an overlay that inherits its own) every mode of any harness counts.
    """
    if harness is None:
        return tuple(dict.fromkeys(mode for modes in PERMISSION_MODES.values() for mode in modes))
    return PERMISSION_MODES.get(harness)
