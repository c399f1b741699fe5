"""Where secrets come from: the settings, a directory with a file for each, the environment, a keyring."""

import importlib
import importlib.util
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

import structlog

from orchestrator.settings.schema import Settings

log = structlog.get_logger()

KEYRING_SERVICE: Final = "orchestrator"
"""Under which a keyring has them."""

OURS: Final = "ORCHESTRATOR_"
"""Variables that begin so steer this program, and hold its database's password: no server gets those."""


SETTINGS: Final = tuple(f"{name}__" for name in Settings.model_fields)
"""Files that begin so are settings, which may be kept in the same directory."""


class Secrets(Mapping[str, str]):
    """Secrets by name, each looked up when it is asked for: a file that changes counts for the next attempt.

    The environment and a keyring are only asked for single names. What is listed are the names given, those
    of the directory, and those of `credentials` that the environment has.
    """

    def __init__(
        self,
        *,
        given: Mapping[str, str],
        directory: Path | None,
        environment: Mapping[str, str],
        credentials: Collection[str],
        withheld: Collection[str] = (),
        keyring: Callable[[str], str | None] | None = None,
    ) -> None:
        """`given` comes first and is never looked for elsewhere; `withheld` names are only taken from it."""
        self._given = given
        self._directory = directory
        self._environment = environment
        self._credentials = credentials
        self._withheld = frozenset(withheld)
        self._keyring = keyring

    def __getitem__(self, name: str) -> str:
        if name in self._given:
            return self._given[name]
        found = None if name in self._withheld else self._looked_up(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        credentials = {name for name in self._credentials if self._environment.get(name)}
        listed = {*self._files(), *credentials} - self._withheld
        return iter(sorted({*self._given, *listed}))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} names>"

    def _looked_up(self, name: str) -> str | None:
        if (value := self._from_file(name)) is not None:
            return value
        if not name.startswith(OURS) and (value := self._environment.get(name)):
            return value
        return None if self._keyring is None else self._keyring(name)

    def _files(self) -> list[str]:
        if self._directory is None or not self._directory.is_dir():
            return []
        names = (file.name for file in self._directory.iterdir() if file.is_file())
        return [name for name in names if "." not in name and not name.lower().startswith(SETTINGS)]

    def _from_file(self, name: str) -> str | None:
        if self._directory is None or not name.isidentifier() or name.lower().startswith(SETTINGS):
            return None
        try:
            return (self._directory / name).read_text(encoding="utf-8").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            log.warning("secret.unreadable", name=name, error=type(error).__name__)
            return None


def system_keyring() -> Callable[[str], str | None] | None:
    """Looks a name up in the system's keyring; `None` where the package `keyring` is not installed."""
    if importlib.util.find_spec("keyring") is None:
        return None

    def ask(name: str) -> str | None:
        keyring = importlib.import_module("keyring")
        try:
            found: str | None = keyring.get_password(KEYRING_SERVICE, name)
        except keyring.errors.KeyringError as error:  # locked, or there is none on this machine
            log.debug("secret.no_keyring", error=type(error).__name__)
            return None
        return found

    return ask


def directory_of(environment: Mapping[str, str], setting: Path | None) -> Path | None:
    """systemd's directory of credentials where there is one, else the one set."""
    given = environment.get("CREDENTIALS_DIRECTORY")
    return Path(given) if given else setting
