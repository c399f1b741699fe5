"""Results to JSON, for every surface alike."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

INLINE = {"inline": True}
"""Metadata of a result's field whose members stand among those of the result itself."""
OPTIONAL = {"optional": True}
"""Metadata of a result's field that is left out when it is empty."""


def encode(value: Any) -> Any:
    """A result as plain JSON values. A limit that is not there (infinity) is null."""
    if is_dataclass(value) and not isinstance(value, type):
        return _members(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _members(record: Any) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for item in fields(record):
        value = getattr(record, item.name)
        if item.metadata.get("inline"):
            members.update(encode(value))
        elif value or not item.metadata.get("optional"):
            members[item.name] = encode(value)
    return members
