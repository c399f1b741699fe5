"""The effective profile as a document: what a preview prints and an attempt keeps."""

from collections.abc import Mapping
from typing import Any, Final

from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.profile import MERGED_FIELDS, UNLIMITED, EffectiveProfile

NO_LIMIT: Final = "unlimited"
LIMITS: Final = ("max_tokens_per_task", "max_turns", "max_budget_usd", "timeout_seconds")
_LISTS: Final = ("allowed_tools", "denied_tools", "mcp_servers", "optional_servers")
_LATER: Final = {"optional_servers": {"value": (), "origin": "not known yet when this was kept"}}
"""What documents of earlier versions do not have."""


def as_json(effective: EffectiveProfile) -> dict[str, Any]:
    """`{"profile_id": ..., "<field>": {"value": ..., "origin": ...}}`, ready for JSON.

    A limit that is not there is `"unlimited"`, since JSON has no infinity.
    """
    document: dict[str, Any] = {"profile_id": effective.profile_id}
    for field in MERGED_FIELDS:
        value = getattr(effective, field)
        if field in LIMITS and value == UNLIMITED:
            value = NO_LIMIT
        document[field] = {"value": _plain(value), "origin": effective.origins[field]}
    return document


def from_json(document: Mapping[str, Any]) -> EffectiveProfile:
    """The record again. Raises InvalidInput naming the field that is missing or has no value and origin."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for field in MERGED_FIELDS:
        entry = document.get(field, _LATER.get(field))
        if not isinstance(entry, Mapping) or "value" not in entry or "origin" not in entry:
            raise InvalidInput(f"{field} must have a value and an origin", field=field)
        values[field] = _record(field, entry["value"])
        origins[field] = entry["origin"]
    if not isinstance(document.get("profile_id"), str):
        raise InvalidInput("profile_id must be a string", field="profile_id")
    return EffectiveProfile(profile_id=document["profile_id"], **values, origins=origins)


def _record(field: str, value: Any) -> Any:
    if field in LIMITS and value == NO_LIMIT:
        return UNLIMITED
    return tuple(value) if field in _LISTS else value


def _plain(value: Any) -> Any:
    """The value in lists and dicts of its own, so that nobody can change the record through the document."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
