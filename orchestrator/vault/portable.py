"""A profile as YAML that people hand to each other."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.profile import AgentProfile
from orchestrator.vault.guarded_yaml import Bare, Unreadable, Value
from orchestrator.vault.guarded_yaml import load as guarded
from orchestrator.vault.problem import MOST_PROBLEMS, did_you_mean, shown
from orchestrator.vault.profile_fields import LIMITS, NONE

KEY: Final = "agent_profile"
MOST_CHARACTERS: Final = 1024 * 1024
MOST_LEVELS: Final = 40
"""Settings of a document have at most 32, and stand below others here."""

_TEXTS: Final = (
    *("id", "name", "description", "harness", "model", "permission_mode", "system_prompt_suffix"),
)
_LISTS: Final = ("tags", "allowed_tools", "denied_tools", "mcp_servers")
_FIELDS: Final = (
    *("id", "name", "description", "tags", "harness", "model", "permission_mode", "allowed_tools"),
    *("denied_tools", "mcp_servers", "system_prompt_suffix", *LIMITS, "settings", "install"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Portable:
    """What the YAML says: raw values by the names of `AgentProfile`'s fields, not checked yet."""

    id: str | None
    fields: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


def dump(profile: AgentProfile) -> str:
    """A comment that says what it is, and everything that is set. Reading it gives an equal profile."""
    title = profile.name if profile.name.isprintable() else profile.id
    entry = {name: value for name in _FIELDS if (value := _plain(profile, name)) is not None}
    text = _written(entry, _Readable)
    if not _reads_as(text, entry):
        text = _written(entry, _Dumper, unicode=False)
    return f"# Agent Profile: {title}\n{text}"


def load(text: str) -> Portable:
    """Read what `dump` wrote, or what a person wrote in its place. Raises InvalidInput."""
    try:
        document = guarded(text, most_characters=MOST_CHARACTERS, most_levels=MOST_LEVELS)
    except Unreadable as problem:
        raise InvalidInput(
            f"not valid YAML: {problem.message} (line {problem.line})", field="source"
        ) from None
    if not isinstance(document, dict) or KEY not in document:
        raise InvalidInput(f"YAML must contain an '{KEY}' key", field="source")
    entry = document[KEY]
    if not isinstance(entry, dict):
        raise InvalidInput(f"'{KEY}' must be a mapping of fields to values", field="source")
    return read_entry(entry)


def read_entry(entry: Mapping[str, Value]) -> Portable:
    """A profile's fields from guarded YAML. Raises InvalidInput."""
    unknown = [key for key in entry if key not in _FIELDS][:MOST_PROBLEMS]
    fields = {name: _value(name, entry[name]) for name in _FIELDS if name in entry}
    profile_id = fields.pop("id", None)
    return Portable(
        id=profile_id,
        fields=fields,
        warnings=tuple(f"{KEY}: unknown key {shown(key)}{did_you_mean(key, _FIELDS)}" for key in unknown),
    )


def _plain(profile: AgentProfile, name: str) -> Any:
    """The value to write; `None` for what is empty or inherited."""
    value = getattr(profile, name)
    match name:
        case "install":
            return value.to_dict() or None
        case "allowed_tools" | "mcp_servers" if value == ():
            return NONE
        case "mcp_servers" if value is not None:
            optional = profile.optional_servers or ()
            return [{"name": item, "optional": True} if item in optional else item for item in value]
        case "settings" if value:
            return json.loads(json.dumps(value))
        case _:
            return list(value) or None if isinstance(value, tuple) else value or None


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """No anchors: what reads this refuses them."""
        del data
        return True


class _Readable(_Dumper):
    """Texts of several lines as blocks, as people write them."""


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _block)


def _written(entry: Mapping[str, Any], dumper: type[yaml.SafeDumper], *, unicode: bool = True) -> str:
    written = yaml.dump({KEY: entry}, Dumper=dumper, sort_keys=False, allow_unicode=unicode, width=10_000)
    return str(written)


def _reads_as(text: str, entry: Mapping[str, Any]) -> bool:
    """Blocks, and characters as they are, cannot hold every text; what they hold wrongly shows here."""
    try:
        read = load(text)
    except InvalidInput:
        return False
    return {"id": read.id, **read.fields} == entry


def _value(name: str, value: Value) -> Any:
    if name in _TEXTS:
        value = value.text if isinstance(value, Bare) else value
        if value is not None and not isinstance(value, str):
            raise InvalidInput(f"{name} must be text", field=name)
        return value
    return _converted(value, _text if name in _LISTS or name == "install" else _number)


def _converted(value: Value, bare: Callable[[Bare], Any]) -> Any:
    if isinstance(value, Bare):
        return bare(value)
    if isinstance(value, list):
        return [_converted(item, bare) for item in value]
    if isinstance(value, dict):
        # `optional` of a server is the one word that is no name.
        return {key: _converted(item, _number if key == "optional" else bare) for key, item in value.items()}
    return value


def _text(value: Bare) -> str:
    return value.text


def _number(value: Bare) -> Any:
    """The number or truth value meant; text where YAML and JSON would not agree on one."""
    if value.kind == "boolean":
        return value.text.casefold() in ("true", "yes", "on")
    if value.kind != "number":
        return value.text
    for convert in (lambda text: int(text, 0), float):
        try:
            return convert(value.text)
        except ValueError:
            continue
    return value.text
