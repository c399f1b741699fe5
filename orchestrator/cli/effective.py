"""An effective profile as people read it: each value with its origin."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType

from orchestrator.cli import output
from orchestrator.domain.profile import MERGED_FIELDS


def lines_of(effective: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One line for each field, in the order people read them; of the instructions only their length."""
    rows = [
        (name, _value(name, effective[name]["value"]), effective[name]["origin"])
        for name in MERGED_FIELDS
        if name in effective
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
