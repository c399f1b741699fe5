"""One effective profile from its layers, the instance's ceiling last."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from orchestrator.domain.catalog import Ceiling
from orchestrator.domain.effective import LIMITS
from orchestrator.domain.grants import intersect, rules, subtract
from orchestrator.domain.modes import canonical_mode
from orchestrator.domain.profile import MERGED_FIELDS, AgentProfile, EffectiveProfile
from orchestrator.domain.widening import tightest_mode

CLAMPED: Final = "clamped by instance"
_DECIDED_BY: Final = {"optional_servers": "mcp_servers"}
"""What is no field of its own in a document, but part of another one."""

LESS_DENIED: Final = "less what is denied"


def merge(
    defaults: EffectiveProfile,
    profile: AgentProfile | None,
    overlay: AgentProfile | None,
    ceiling: Ceiling,
    project_id: str,
) -> EffectiveProfile:
    """Lay the overlay on the profile on the defaults, field by field, and tighten the result.

    A field is taken whole from the uppermost layer that sets it; lists and settings are not mixed between
    layers. `defaults` are those of the harness that the layers choose. Denied tools leave the allowed ones.
    """
    layers = [
        (layer, origin)
        for layer, origin in ((overlay, f"overlay of {project_id}"), (profile, _named(profile)))
        if layer is not None
    ]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for field in MERGED_FIELDS:
        values[field] = getattr(defaults, field)
        origins[field] = defaults.origins.get(field, f"default of {defaults.harness}")
        for layer, origin in layers:
            if getattr(layer, _DECIDED_BY.get(field, field)) is not None:
                values[field], origins[field] = getattr(layer, field), origin
                break
        values[field] = _normal(field, values[field])
    profile_id = layers[-1][0].id if layers else defaults.profile_id
    return clamp(EffectiveProfile(profile_id=profile_id, **values, origins=origins), ceiling)


def clamp(effective: EffectiveProfile, ceiling: Ceiling) -> EffectiveProfile:
    """Tighten to what the instance allows at most. Nothing is ever added but denials."""
    changes: dict[str, Callable[[Any], Any]] = {
        "denied_tools": lambda tools: rules((*tools, *ceiling.denied_tools)),
        "permission_mode": lambda mode: tightest_mode(mode, ceiling.permission_modes),
    }
    if (allowed := ceiling.allowed_tools) is not None:
        changes["allowed_tools"] = lambda tools: intersect(tools, allowed)
    if (servers := ceiling.mcp_servers) is not None:
        changes["mcp_servers"] = lambda names: tuple(name for name in names if name in servers)
    for field in LIMITS:
        if (limit := getattr(ceiling, field)) is not None:
            changes[field] = partial(min, limit)
    for field, change in changes.items():
        effective = _changed(effective, field, change(getattr(effective, field)), CLAMPED)
    left = subtract(effective.allowed_tools, effective.denied_tools)
    return _changed(effective, "allowed_tools", left, LESS_DENIED)


def _named(profile: AgentProfile | None) -> str:
    return f"profile {profile.id}" if profile is not None else ""


def _normal(field: str, value: Any) -> Any:
    """The value in the form in which values are compared, whoever wrote it."""
    match field:
        case "allowed_tools" | "denied_tools":
            return rules(value)
        case "mcp_servers" | "optional_servers":
            return tuple(dict.fromkeys(value or ()))
        case "permission_mode":
            return canonical_mode(value)
        case _:
            return value


def _changed(effective: EffectiveProfile, field: str, value: Any, why: str) -> EffectiveProfile:
    """With the new value, and an origin that keeps where the old one came from."""
    if value == getattr(effective, field):
        return effective
    origin = effective.origins[field]
    if why not in origin:
        origin = f"{origin}, {why}"
    values: dict[str, Any] = {field: value, "origins": {**effective.origins, field: origin}}
    return replace(effective, **values)
