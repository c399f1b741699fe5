"""Where settings come from, in order of precedence, and errors that say which place is wrong."""

import difflib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource, SettingsError

from orchestrator.domain.errors import ConfigurationError
from orchestrator.settings.schema import Settings

PREFIX: Final = "ORCHESTRATOR_"
NOT_SETTINGS: Final = frozenset({"ORCHESTRATOR_HOME", "ORCHESTRATOR_CONFIG", "ORCHESTRATOR_DEBUG"})
MASK: Final = "********"
CONFIG: Final = "config.yaml"

Tree = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """Valid settings, and for each dotted key the source it came from."""

    settings: Settings
    origins: Mapping[str, str]
    config_file: Path

    @property
    def unread_file(self) -> Path | None:
        """A config.yaml in the home directory that is not read, because the one that is lies elsewhere."""
        at_home = self.settings.home / CONFIG
        try:
            read = self.config_file.exists() and at_home.samefile(self.config_file)
            return at_home if at_home.is_file() and not read else None
        except OSError:  # it is not there, or not for us to look at
            return None

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Every key with its value as text (secrets masked) and its origin."""
        for key, value in leaves(self.settings):
            shown = MASK if isinstance(value, SecretStr) else _shown(value)
            yield key, shown, self.origins.get(key, "default")


def load(
    home: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Loaded:
    """Settings from the command line (`overrides`, dotted keys), the environment, the secrets directory and
    config.yaml, in that order, over the defaults.

    Raises ConfigurationError naming the key, where it stands and the nearest known one.
    """
    env = os.environ if environment is None else environment
    if home is not None:
        env = {**env, "ORCHESTRATOR_HOME": str(home)}
    root = _home(env)
    config_file = _config_file(root, env)
    document, lines = _read_config(config_file)
    where = "ORCHESTRATOR_HOME" if env.get("ORCHESTRATOR_HOME") else "default"
    layers: list[tuple[str, Tree]] = [(where, {"home": root}), (str(config_file), document)]
    secrets_dir = (
        env.get("ORCHESTRATOR_SECRETS_DIR") or env.get("CREDENTIALS_DIRECTORY") or document.get("secrets_dir")
    )
    if secrets_dir:
        layers.append((f"secrets in {secrets_dir}", _read_secrets(Path(str(secrets_dir)))))
    layers.append(("environment", _read_environment(env)))
    layers.append(("command line", _nested(overrides or {})))

    merged: Tree = {}
    origins: dict[str, str] = {}
    for name, tree in layers:
        _lay_over(merged, tree, name, origins)
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise _explained(error, origins, lines) from None
    return Loaded(settings=settings, origins=origins, config_file=config_file)


def leaves(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting that is not a section, as a dotted key with its value."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every dotted key that exists, sections included."""
    for name, info in model.model_fields.items():
        yield f"{prefix}{name}"
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from known_keys(info.annotation, f"{prefix}{name}.")


def _home(env: Mapping[str, str]) -> Path:
    if named := env.get("ORCHESTRATOR_HOME"):
        return Path(named).expanduser().absolute()
    return _xdg(env, "XDG_STATE_HOME", ".local/state") / "orchestrator"


def _config_file(home: Path, env: Mapping[str, str]) -> Path:
    if named := env.get("ORCHESTRATOR_CONFIG"):
        return Path(named).expanduser().absolute()
    if env.get("ORCHESTRATOR_HOME"):
        return home / CONFIG
    return _xdg(env, "XDG_CONFIG_HOME", ".config") / "orchestrator" / CONFIG


def _xdg(env: Mapping[str, str], variable: str, default: str) -> Path:
    """The XDG base directory; see the XDG Base Directory Specification, 0.8."""
    return Path(env.get(variable) or Path(env.get("HOME", "~")).expanduser() / default)


def _read_config(path: Path) -> tuple[Tree, dict[str, int]]:
    """The document and the line (from 1) of each dotted key; nothing where there is no file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}, {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path}: cannot be read: {error}. Correct the file or its permissions."
        ) from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigurationError(f"{path}{line}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: not valid YAML: {error}") from None
    if document is None:
        return {}, {}
    if not isinstance(document, dict) or not isinstance(node, yaml.MappingNode):
        raise ConfigurationError(
            f"{path}: must be a mapping of keys to values, such as `worker: {{slots: 4}}`"
        )
    lines = dict(_lines(node))
    if (odd := _odd_key(document)) is not None:
        raise ConfigurationError(f"{path}: key {odd!r} is not text; keys are names, see docs/settings.md")
    return document, lines


def _odd_key(document: Mapping[object, object]) -> object | None:
    for key, value in document.items():
        if not isinstance(key, str):
            return key
        if isinstance(value, Mapping) and (odd := _odd_key(value)) is not None:
            return odd
    return None


def _lines(node: yaml.MappingNode, prefix: str = "") -> Iterator[tuple[str, int]]:
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        yield path, key.start_mark.line + 1
        if isinstance(value, yaml.MappingNode):
            yield from _lines(value, f"{path}.")


def _read_secrets(directory: Path) -> Tree:
    """Files named like `claude__api_key`; other files there are secrets of servers, not settings."""
    known = set(known_keys())
    found = {}
    for file in sorted(directory.iterdir()) if directory.is_dir() else ():
        key = file.name.lower().replace("__", ".")
        if "." in key and key in known and file.is_file():
            found[key] = file.read_text(encoding="utf-8").strip()
    return _nested(found)


def _read_environment(env: Mapping[str, str]) -> Tree:
    known = {PREFIX + key.upper().replace(".", "__"): key for key in known_keys()}
    for name in env:
        if name.startswith(PREFIX) and name.upper() not in known and name not in NOT_SETTINGS:
            near = difflib.get_close_matches(name, known, n=1)
            raise ConfigurationError(f"environment: unknown setting {name}{_did_you_mean(near)}", field=name)
    source = EnvSettingsSource(Settings, env_prefix=PREFIX, env_nested_delimiter="__")
    given = {name: value for name, value in env.items() if name.startswith(PREFIX)}
    source.env_vars = {name.lower(): value for name, value in given.items()}
    try:
        tree = source()
    except SettingsError:
        raise _not_json(source, given, known) from None
    tree.pop("home", None)
    if "ANTHROPIC_API_KEY" in env:
        tree = {**tree, "claude": {"api_key": env["ANTHROPIC_API_KEY"], **tree.get("claude", {})}}
    return tree


def _not_json(
    source: EnvSettingsSource, given: Mapping[str, str], known: Mapping[str, str]
) -> ConfigurationError:
    """Which of the variables that hold a list or a section is not written as JSON, and how to write it."""
    for name, value in given.items():
        source.env_vars = {name.lower(): value}
        try:
            source()
        except SettingsError:
            break
    if known.get(name.upper()) in Settings.model_fields:  # a section: what is in it may be secret
        wanted = f'an object in JSON, such as {name}=\'{{"key": "value"}}\''
    else:
        items = ["a", "b"] if value.lstrip().startswith("[") else [part.strip() for part in value.split(",")]
        wanted = f"a list in JSON, such as {name}='{json.dumps(items, ensure_ascii=False)}'"
    return ConfigurationError(f"environment: {name} must be {wanted}", field=name)


def _nested(flat: Mapping[str, Any]) -> Tree:
    tree: Tree = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return tree


def _lay_over(
    base: Tree, layer: Mapping[str, Any], name: str, origins: dict[str, str], prefix: str = ""
) -> None:
    for key, value in layer.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and (key not in base or isinstance(base[key], dict)):
            _lay_over(base.setdefault(key, {}), value, name, origins, f"{path}.")
        else:
            base[key] = value
        origins[path] = name


def _explained(
    error: ValidationError, origins: Mapping[str, str], lines: Mapping[str, int]
) -> ConfigurationError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
    where = origins.get(key, "settings")
    if where.endswith((".yaml", ".yml")) and key in lines:
        where = f"{where}, line {lines[key]}"
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, list(known_keys()), n=1)
        return ConfigurationError(f"{where}: unknown key {key}{_did_you_mean(near)}", field=key)
    return ConfigurationError(f"{where}: {key}: {_sentence(first)}", field=key)


def _sentence(fault: ErrorDetails) -> str:
    """What is wrong, in the words of a configuration file rather than of our types."""
    match fault["type"]:
        case "model_type" | "model_attributes_type":
            return "must be a section, with its keys below it"
        case "tuple_type":
            return "must be a list, such as [Read, Grep]"
        case "path_type":
            return "must be a path"
        case "value_error":
            return str(fault["ctx"]["error"])
        case _:
            return fault["msg"]


def _did_you_mean(near: list[str]) -> str:
    return f"; did you mean {near[0]}?" if near else "; see docs/settings.md for the keys"


def _shown(value: Any) -> str:
    return "" if value is None else ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
