"""A profile as a row, and a row as a profile: where an empty value becomes "inherit", and back."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import RowMapping

from orchestrator.domain.manifest import InstallManifest
from orchestrator.domain.profile import AgentProfile

LIMITS: Final = ("max_tokens_per_task", "max_turns", "max_budget_usd", "timeout_seconds")
NOTHING: Final = "none"
"""Stored for "no tools at all", since an empty list means inherit."""


def values_of(profile: AgentProfile) -> dict[str, Any]:
    """Everything but the id, as `agent_profiles` and `profile_overlays` store it."""
    limits = {name: getattr(profile, name) for name in LIMITS}
    return {
        "name": profile.name,
        "description": profile.description,
        "tags": profile.tags,
        "install": profile.install.to_dict(),
        "harness": profile.harness or "",
        "model": profile.model or "",
        "permission_mode": profile.permission_mode or "",
        "allowed_tools": _listed(profile.allowed_tools),
        "denied_tools": _listed(profile.denied_tools),
        "mcp_servers": _servers(profile),
        "system_prompt_suffix": profile.system_prompt_suffix or "",
        "limits": {name: value for name, value in limits.items() if value is not None},
        "settings": dict(profile.settings or {}),
    }


def profile_of(row: RowMapping, profile_id: str) -> AgentProfile:
    limits: Mapping[str, Any] = row["limits"]
    return AgentProfile(
        id=profile_id,
        name=row["name"],
        description=row["description"],
        tags=tuple(row["tags"]),
        install=InstallManifest.from_dict(row["install"]),
        harness=row["harness"] or None,
        model=row["model"] or None,
        permission_mode=row["permission_mode"] or None,
        allowed_tools=_names(row["allowed_tools"]),
        denied_tools=_names(row["denied_tools"]),
        mcp_servers=_names(row["mcp_servers"]),
        optional_servers=_optional(row["mcp_servers"]),
        system_prompt_suffix=row["system_prompt_suffix"] or None,
        settings=row["settings"] or None,
        **{name: limits.get(name) for name in LIMITS},
    )


def _listed(names: tuple[str, ...] | None) -> object:
    if names is None:
        return []
    return list(names) or NOTHING


def _servers(profile: AgentProfile) -> object:
    """As the document writes them: a name, or an object that says that it is optional."""
    optional = profile.optional_servers or ()
    listed = [
        {"name": name, "optional": True} if name in optional else name for name in profile.mcp_servers or ()
    ]
    return listed or _listed(profile.mcp_servers)


def _optional(stored: object) -> tuple[str, ...] | None:
    found = [item["name"] for item in stored if isinstance(item, dict)] if isinstance(stored, list) else []
    return tuple(map(str, found)) or None


def _names(stored: object) -> tuple[str, ...] | None:
    """Also of the legacy object of servers, whose keys are the names; its default `{}` is the empty list."""
    if stored == NOTHING:
        return ()
    if isinstance(stored, list | dict) and stored:
        return tuple(str(item["name"] if isinstance(item, dict) else item) for item in stored)
    return None
