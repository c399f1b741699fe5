"""Settings that a profile may have for this harness; pure."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")

KNOWN: Final = ("effort", "fallback_model")
"""`effort` is how much the model thinks, one of `EFFORTS`; `fallback_model` takes over while the model is
overloaded. Deliberately no door to the command line's own settings: hooks, permissions and variables there
run code or widen."""


def problems(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """What is wrong with them, one sentence each."""
    found = []
    for key, value in settings.items():
        if key not in KNOWN:
            near = get_close_matches(key, KNOWN, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known are: {', '.join(KNOWN)}"
            found.append(f"settings.{key} is not known to the harness claude; {hint}")
        elif key == "effort" and value not in EFFORTS:
            found.append(f"settings.effort must be one of {', '.join(EFFORTS)}")
        elif key == "fallback_model" and not (isinstance(value, str) and value and "," not in value):
            found.append("settings.fallback_model must be the full name of one model")
    return tuple(found)


def flags(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The command line's flags for settings without problems."""
    names = {"effort": "--effort", "fallback_model": "--fallback-model"}
    return tuple(f"{names[key]}={settings[key]}" for key in KNOWN if key in settings)
