"""An effective profile as people read it: each value with its origin."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType

from orchestrator.cli import output


def lines_of(effective: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One line for each field; the instructions only by their length, since they may be long."""
    rows = [
        (name, _value(name, entry["value"]), entry["origin"])
        for name, entry in effective.items()
        if isinstance(entry, Mapping) and "origin" in entry
    ]
    yield output.table(("field", "value", "origin"), rows)


def _value(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    if name == "system_prompt_suffix":
        return f"{len(value)} characters" if value else "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "none"
    return str(value)
