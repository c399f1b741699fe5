"""What the JSON of a profile's sections means: each reader gives the fields it found."""

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from orchestrator.domain.manifest import InstallManifest, PackageKind, is_plain_name
from orchestrator.domain.modes import canonical_mode, modes_of
from orchestrator.domain.tools import (
    BadToolName,
    canonical,
    check_name,
    unknown_tool_message,
    validate_tool_names,
)
from orchestrator.vault.json_block import kind_of
from orchestrator.vault.layout import is_id
from orchestrator.vault.problem import MOST_PROBLEMS, Findings, did_you_mean, shown

Fields = dict[str, Any]

NONE: Final = "none"
"""Written in place of a list: nothing at all, where an absent or empty list means inherit."""

WHOLE_LIMITS: Final = ("max_tokens_per_task", "max_turns")
LIMITS: Final = (*WHOLE_LIMITS, "max_budget_usd", "timeout_seconds")
LARGEST_LIMIT: Final = 10**15
MOST_NAMES: Final = 500
"""Entries of one list."""

_CONFIG_KEYS: Final = ("model", "permission_mode", *LIMITS, "settings")
_TOOLS_KEYS: Final = ("allowed", "denied")
_INSTALL_KEYS: Final[tuple[PackageKind, ...]] = ("npm", "pip", "commands")


def read_config(value: Any, harness: str | None, line: int, findings: Findings) -> Fields:
    """Model, permission mode, limits and settings. `harness` is whose permission modes are meant, `None`
    when the document does not say."""
    if not isinstance(value, dict):
        findings.error(f"## Config JSON must be an object, got {kind_of(value)}", line)
        return {}
    _warn_unknown(value, _CONFIG_KEYS, "## Config", line, findings)
    fields: Fields = {}
    for key in ("model", "permission_mode"):
        item = value.get(key)
        if item is None or item == "":
            continue
        if not isinstance(item, str) or not item.strip():
            findings.error(f"## Config: {key} must be a non-empty string", line)
        else:
            fields[key] = item.strip()
    if "permission_mode" in fields:
        fields["permission_mode"] = _mode(fields["permission_mode"], harness, line, findings)
    for key in LIMITS:
        if value.get(key) is not None:
            fields[key] = _limit(key, value[key], line, findings)
    settings = value.get("settings")
    if settings is not None and not isinstance(settings, dict):
        findings.error(f"## Config: settings must be an object, got {kind_of(settings)}", line)
    elif settings:
        fields["settings"] = settings
    return fields


def _mode(mode: str, harness: str | None, line: int, findings: Findings) -> str:
    modes = modes_of(harness)
    if modes is not None and canonical_mode(mode) not in modes:
        whose = f"{harness}'s" if harness else "the known ones"
        message = f"## Config: permission_mode {shown(mode)} is not one of {whose}"
        findings.error(f"{message}: {', '.join(modes)}{did_you_mean(mode, modes)}", line)
    return canonical_mode(mode)


def _limit(key: str, value: Any, line: int, findings: Findings) -> int | float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 < value <= LARGEST_LIMIT:
        findings.error(f"## Config: {key} must be a positive number", line)
        return None
    if key not in WHOLE_LIMITS:
        return float(value)
    if value != int(value):
        findings.error(f"## Config: {key} must be a whole number", line)
        return None
    return int(value)


def read_tools(value: Any, known: Collection[str], line: int, findings: Findings) -> Fields:
    """Tools allowed and denied, by their bare names. `known` are tools beyond the built-in ones."""
    if not isinstance(value, dict):
        findings.error(f"## Tools JSON must be an object, got {kind_of(value)}", line)
        return {}
    _warn_unknown(value, _TOOLS_KEYS, "## Tools", line, findings)
    fields: Fields = {}
    for key, none_accepted in (("allowed", True), ("denied", False)):
        names = _names(f"## Tools: {key}", value.get(key), line, findings, none_accepted=none_accepted)
        if names is not None:
            fields[f"{key}_tools"] = tuple(dict.fromkeys(canonical(name) for name in names))
    _check_tools(fields, known, line, findings)
    return fields


def _check_tools(fields: Fields, known: Collection[str], line: int, findings: Findings) -> None:
    """A doubtful name is harmless where it permits nothing, and an error where it should forbid."""
    allowed, denied = fields.get("allowed_tools", ()), fields.get("denied_tools", ())
    for key, names in (("allowed", allowed), ("denied", denied)):
        for name in names:
            try:
                check_name(name)
            except BadToolName as problem:
                findings.error(f"## Tools: {key}: {problem}", line)
    for name in validate_tool_names(allowed, known)[:MOST_PROBLEMS]:
        findings.warn(f"## Tools: allowed: {unknown_tool_message(name)}", line)
    for name in validate_tool_names(denied, known)[:MOST_PROBLEMS]:
        findings.error(f"## Tools: denied: {unknown_tool_message(name)}", line)
    for name in allowed:
        if name in denied:
            findings.warn(f"## Tools: {shown(name)} is both allowed and denied; denied wins", line)


def read_servers(value: Any, line: int, findings: Findings) -> tuple[Fields, Mapping[str, Any]]:
    """The names of MCP servers, and the inline definitions of old documents by name.

    A definition without a usable name cannot become a file of the registry: it grants nothing.
    """
    if isinstance(value, dict):
        return _inline_servers(value, line, findings)
    if value != NONE and not isinstance(value, list):
        findings.error(f"## MCP Servers JSON must be a list of names, got {kind_of(value)}", line)
        return {}, {}
    plain, optional = (value, ()) if value == NONE else _without_marks(value, line, findings)
    names = _names("## MCP Servers: ", plain, line, findings, none_accepted=True)
    if names is None:
        return {}, {}
    for name in names:
        if not is_id(name):
            findings.error(f"## MCP Servers: {shown(name)} is not the name of a server", line)
    fields: Fields = {"mcp_servers": tuple(dict.fromkeys(names))}
    return fields | ({"optional_servers": optional} if optional else {}), {}


def _without_marks(value: list[Any], line: int, findings: Findings) -> tuple[list[Any], tuple[str, ...]]:
    """The list as plain names, and those among them that are optional: an item may be an object with `name`
    and `optional`. Required is the stricter word, so it wins where both are said of one name."""
    plain: list[Any] = []
    marks: dict[str, bool] = {}
    for index, item in enumerate(value):
        name, optional = item, False
        if isinstance(item, dict):
            where = f"## MCP Servers: [{index}]"
            _warn_unknown(item, ("name", "optional"), where, line, findings)
            name, optional = item.get("name"), item.get("optional", False)
            if not isinstance(optional, bool):
                findings.error(f"{where}: optional must be true or false", line)
        plain.append(name)
        if isinstance(name, str):
            name = name.strip()
            marks[name] = optional is True and marks.get(name, True)
    return plain, tuple(name for name, optional in marks.items() if optional)


def _inline_servers(value: dict[str, Any], line: int, findings: Findings) -> tuple[Fields, Mapping[str, Any]]:
    if not value:
        return {}, {}
    findings.warn("## MCP Servers: definitions belong in files of mcp-servers/; list their names here", line)
    for name in value:
        if not is_id(name):
            findings.warn(
                f"## MCP Servers: {shown(name)} is not a usable name; the entry grants nothing", line
            )
    return {"mcp_servers": tuple(name for name in value if is_id(name))}, value


def read_install(value: Any, line: int, findings: Findings) -> Fields:
    """The install manifest: plain names only."""
    if not isinstance(value, dict):
        findings.error(f"## Install JSON must be an object, got {kind_of(value)}", line)
        return {}
    _warn_unknown(value, _INSTALL_KEYS, "## Install", line, findings)
    lists: dict[str, tuple[str, ...]] = {}
    for key in _INSTALL_KEYS:
        names = _names(f"## Install: {key}", value.get(key), line, findings, none_accepted=False) or ()
        for name in names:
            if not is_plain_name(key, name):
                what = "a plain command name" if key == "commands" else "a plain package name with a version"
                findings.error(f"## Install: {key}: {shown(name)} is not {what}", line)
        lists[key] = names
    return {"install": InstallManifest(**lists)}


def _names(
    where: str, value: Any, line: int, findings: Findings, *, none_accepted: bool
) -> tuple[str, ...] | None:
    """A list of non-empty strings; `None` when it is absent or empty, which means inherit."""
    if none_accepted and value == NONE:
        return ()
    if value is None or value == []:
        return None
    if not isinstance(value, list):
        wanted = 'a list or "none"' if none_accepted else "a list"
        findings.error(f"{where.rstrip(' :')} must be {wanted}, got {kind_of(value)}", line)
        return None
    if len(value) > MOST_NAMES:
        findings.error(
            f"{where.rstrip(' :')} has {len(value)} entries; at most {MOST_NAMES} are accepted", line
        )
        return None
    good = []
    for index, item in enumerate(value):
        if not isinstance(item, str):
            findings.error(f"{where}[{index}] must be a string", line)
        elif not item.strip():
            findings.error(f"{where}[{index}] must be a non-empty string", line)
        else:
            good.append(item.strip())
    return tuple(good)


def _warn_unknown(
    value: dict[str, Any], known: Iterable[str], where: str, line: int, findings: Findings
) -> None:
    names = tuple(known)
    for key in [key for key in value if key not in names][:MOST_PROBLEMS]:
        findings.warn(f"{where}: unknown key {shown(key)}{did_you_mean(key, names)}", line)
