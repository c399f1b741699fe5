"""The vault that a new installation starts with."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orchestrator
from orchestrator.domain.errors import ConfigurationError, NotFound
from orchestrator.vault.write import write_file

RECORD: Final = ".starter.json"
"""In the vault's root: the digest of each starter file as it was shipped. It tells a file that nobody
touched from one that is the operator's, and one that he deleted from one that is new."""

BACKUP: Final = ".bak"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seeding:
    """What was done, as paths below the vault: files copied because they were new, updated because nobody
    had touched them, and left because the operator's differ from those shipped now."""

    copied: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()


def packaged_vault() -> Path:
    """The starter vault: in the installed package, or in the checkout that this code runs from."""
    package = Path(orchestrator.__file__).parent
    for place in (package / "_vault", package.parent / "vault"):
        if (place / "agent-types").is_dir():
            return place
    raise ConfigurationError("The starter vault is missing from this installation; install it again.")


def seed(vault: Path, shipped: Path | None = None) -> Seeding:
    """Copy what is new, update what was not touched, leave everything else. Deleted files stay deleted.

    Raises OSError when the vault cannot be written.
    """
    source = _files(shipped or packaged_vault())
    record = _read_record(vault)
    digests = dict(record)
    copied, updated, differing = [], [], []
    for path, data in source.items():
        target, digest = vault / path, _digest(data)
        present = _digest(target.read_bytes()) if target.is_file() else None
        if present == digest:
            digests[path] = digest
        elif present is None and not target.exists() and path not in record:
            write_file(target, data)
            digests[path] = digest
            copied.append(path)
        elif present is not None and present == record.get(path):
            write_file(target, data)
            digests[path] = digest
            updated.append(path)
        elif present is not None:
            differing.append(path)
    if digests != record:
        _write_record(vault, digests)
    return Seeding(copied=tuple(copied), updated=tuple(updated), differing=tuple(differing))


def differing(vault: Path, shipped: Path | None = None) -> Mapping[str, tuple[str, str]]:
    """Starter files that the operator has changed: his text and the one shipped now, by path."""
    found = {}
    for path, data in _files(shipped or packaged_vault()).items():
        target = vault / path
        if target.is_file() and target.read_bytes() != data:
            mine = target.read_bytes().decode("utf-8", "replace")
            found[path] = (mine, data.decode("utf-8", "replace"))
    return found


def reseed(vault: Path, path: str, shipped: Path | None = None) -> Path | None:
    """Take the shipped file, whatever is there; what was there is kept beside it, and its place returned.

    Raises NotFound when no such file is shipped.
    """
    data = _files(shipped or packaged_vault()).get(path)
    if data is None:
        raise NotFound(f"{path} is not a file of the starter vault.")
    target = vault / path
    backup: Path | None = None
    if target.is_file() and target.read_bytes() != data:
        backup = target.with_name(target.name + BACKUP)
        write_file(backup, target.read_bytes())
    write_file(target, data)
    _write_record(vault, {**_read_record(vault), path: _digest(data)})
    return backup


def _files(root: Path) -> dict[str, bytes]:
    paths = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read_record(vault: Path) -> dict[str, str]:
    """What was shipped; nothing when the record is missing or damaged, so that every file there is is the
    operator's."""
    try:
        record = json.loads((vault / RECORD).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(record, dict):
        return {}
    return {key: value for key, value in record.items() if isinstance(value, str)}


def _write_record(vault: Path, digests: Mapping[str, str]) -> None:
    text = json.dumps(dict(sorted(digests.items())), indent=2) + "\n"
    write_file(vault / RECORD, text.encode())
