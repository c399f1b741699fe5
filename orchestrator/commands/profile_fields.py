"""What a request says of a profile's fields, checked by the rules that hold for documents."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from orchestrator.commands import checks
from orchestrator.commands.command import UNCHANGED, Unchanged, changed
from orchestrator.commands.profiles import INHERITED
from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.manifest import InstallManifest
from orchestrator.domain.modes import HARNESSES
from orchestrator.domain.tools import EMBEDDED_NAMES
from orchestrator.vault import profile_fields as rules
from orchestrator.vault.problem import Findings, did_you_mean

Names = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileFields:
    """What can be said of a profile. Null and empty values inherit; "none" in place of a list of tools or
    servers means none at all."""

    name: str | Unchanged | None = UNCHANGED
    description: str | Unchanged | None = UNCHANGED
    tags: Names | Unchanged | None = UNCHANGED
    harness: str | Unchanged | None = UNCHANGED
    model: str | Unchanged | None = UNCHANGED
    permission_mode: str | Unchanged | None = UNCHANGED
    allowed_tools: Names | Literal["none"] | Unchanged | None = UNCHANGED
    denied_tools: Names | Unchanged | None = UNCHANGED
    mcp_servers: tuple[str | Mapping[str, Any], ...] | Literal["none"] | Unchanged | None = UNCHANGED
    """Names; one that an attempt can do without is written `{"name": ..., "optional": true}`."""
    system_prompt_suffix: str | Unchanged | None = UNCHANGED
    max_tokens_per_task: int | Unchanged | None = UNCHANGED
    max_turns: int | Unchanged | None = UNCHANGED
    max_budget_usd: float | Unchanged | None = UNCHANGED
    timeout_seconds: float | Unchanged | None = UNCHANGED
    settings: Mapping[str, Any] | Unchanged | None = UNCHANGED
    install: Mapping[str, Any] | Unchanged | None = UNCHANGED


FIELDS: Final = tuple(item.name for item in fields(ProfileFields))


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """Values as `AgentProfile` has them, of the fields that were given, and what is doubtful about them."""

    values: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


def given(request: ProfileFields) -> dict[str, Any]:
    """The fields that the request mentions."""
    return changed(**{name: getattr(request, name) for name in FIELDS})


def check(raw: Mapping[str, Any], *, profile_id: str, harness: str | None) -> Checked:
    """The values to store. `harness` is whose permission modes are meant, `None` when that is inherited.

    Raises InvalidInput naming the field.
    """
    values: dict[str, Any] = {}
    warnings: list[str] = []
    for field, value in raw.items():
        if field in _TEXTS:
            values[field] = _TEXTS[field](value, profile_id)
            continue
        read = _reader(field, raw.get("harness") or harness)
        findings = Findings()
        plain = list(value) if isinstance(value, tuple) else value
        read_fields = {} if plain in (None, "", [], {}, INHERITED) else read(plain, findings)
        if findings.errors:
            raise InvalidInput(_told(field, findings.errors[0].message), field=field)
        warnings += [_told(field, warning.message) for warning in findings.warnings]
        values[field] = InstallManifest() if field == "install" else None
        if field == "mcp_servers" and any(isinstance(item, Mapping) for item in value or ()):
            values["optional_servers"] = None
        values |= read_fields
    return Checked(values=values, warnings=tuple(warnings))


def doubts(values: Mapping[str, Any], allowed: Names | None, denied: Names | None) -> tuple[str, ...]:
    """What is wrong between the two lists of tools, when one of them is new."""
    if not {"allowed_tools", "denied_tools"} & values.keys():
        return ()
    return tuple(
        f"allowed_tools: '{name}' is denied too; denied wins"
        for name in allowed or ()
        if name in (denied or ())
    )


def unknown_servers(names: Names | None, known: Collection[str]) -> tuple[str, ...]:
    """A warning for each name that no document of the registry defines yet."""
    return tuple(
        f"mcp_servers: '{name}' is not in the registry{did_you_mean(name, known)}"
        for name in names or ()
        if name not in known
    )


def _reader(field: str, harness: str | None) -> Callable[[Any, Findings], Mapping[str, Any]]:
    """What reads this field alone, under the name that a document has for it."""
    match field:
        case "allowed_tools" | "denied_tools":
            key = field.removesuffix("_tools")
            return lambda value, findings: rules.read_tools({key: value}, EMBEDDED_NAMES, 0, findings)
        case "mcp_servers":
            return lambda value, findings: rules.read_servers(value, 0, findings)[0]
        case "install":
            return lambda value, findings: rules.read_install(_lists(value), 0, findings)
        case _:
            return lambda value, findings: rules.read_config({field: value}, harness, 0, findings)


def _lists(value: Any) -> Any:
    """Typed requests carry tuples where documents carry lists."""
    if not isinstance(value, Mapping):
        return value
    return {key: list(item) if isinstance(item, tuple) else item for key, item in value.items()}


def _told(field: str, message: str) -> str:
    """The message of a document's reader, about a field instead of a section."""
    _, _, rest = message.partition(":")
    rest = rest.strip().removeprefix(field).removeprefix(field.removesuffix("_tools"))
    return f"{field}{rest}" if rest.startswith("[") or rest.startswith((" ", ":")) else f"{field}: {rest}"


def _name(value: Any, profile_id: str) -> str:
    return checks.storable(value or "", "name").strip() or profile_id


def _description(value: Any, profile_id: str) -> str:
    del profile_id
    return checks.storable(value or "", "description").strip()


def _tags(value: Any, profile_id: str) -> Names:
    del profile_id
    tags = tuple(checks.storable(tag, "tags").strip() for tag in value or ())
    if not all(tags):
        raise InvalidInput("tags must not be empty texts", field="tags")
    return tags


def _harness(value: Any, profile_id: str) -> str | None:
    del profile_id
    if value and value not in HARNESSES:
        near = did_you_mean(value, HARNESSES)
        raise InvalidInput(
            f"harness {value[:40]!r} is not one of {', '.join(HARNESSES)}{near}", field="harness"
        )
    return value or None


def _suffix(value: Any, profile_id: str) -> str | None:
    del profile_id
    return checks.storable(value, "system_prompt_suffix") if value else None


_TEXTS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    "name": _name,
    "description": _description,
    "tags": _tags,
    "harness": _harness,
    "system_prompt_suffix": _suffix,
}
