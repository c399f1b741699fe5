"""Start-up migrations: profiles of an old configuration, and older documents, brought into the vault."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from orchestrator.commands import profile_documents as documents
from orchestrator.domain.errors import ConfigurationError, OrchestratorError
from orchestrator.domain.profile import AgentProfile
from orchestrator.vault.change import locked, write_all
from orchestrator.vault.layout import is_id, path_of
from orchestrator.vault.migrate import Plan, Planner, Step, StepKind, plan_documents
from orchestrator.vault.portable import KEY, load
from orchestrator.vault.problem import shown
from orchestrator.vault.write import write_file

SECTION: Final = "agent_profiles"
RECORD: Final = "migrations.json"
"""In the home directory: what was done, and which profiles of the configuration were moved already. One that
was deleted since must not come back with the next start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """One step of an earlier migration; `at` is in Unix seconds."""

    at: float
    kind: StepKind
    path: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    moved: tuple[str, ...] = ()
    """Ids of profiles of the configuration."""
    steps: tuple[Recorded, ...] = ()


async def migrate(
    *, home: Path, vault: Path, entries: Any = None, again: bool = False, dry_run: bool = False, now: float
) -> tuple[Step, ...]:
    """Do what is left to do and say what was done, or would be. Doing it again changes nothing.

    `entries` is the section `agent_profiles` of a configuration; with `again`, profiles count that were moved
    before. Nothing that is in the vault is ever replaced, but definitions of servers by their names. Raises
    VaultUnavailable, Conflict and OSError, and then nothing was changed.
    """
    if dry_run and not await asyncio.to_thread(vault.is_dir):  # a new home: nothing is there to be in the way
        return (await asyncio.to_thread(_plan_entries, vault, entries, ()))[0].steps
    async with locked(vault):
        record = await asyncio.to_thread(read_record, home)
        steps = await _migrate_documents(vault, dry_run=dry_run)
        moved = () if again else record.moved
        plan, ids = await asyncio.to_thread(_plan_entries, vault, entries, moved)
        if not dry_run:
            await asyncio.to_thread(write_all, vault, plan.changes)
            fresh = [step for step in (*steps, *plan.steps) if step.done]
            if fresh or ids - set(record.moved):
                await asyncio.to_thread(_write_record, home, record, fresh, ids, now)
    return (*steps, *plan.steps)


def entries_of(path: Path) -> Any:
    """The section `agent_profiles` of a configuration file, `None` when it has none.
    Raises ConfigurationError."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(document, Mapping):
        raise ConfigurationError(f"{path}: must be a mapping of keys to values")
    return document.get(SECTION)


def read_record(home: Path) -> Record:
    """What was done before; nothing when the record is missing or damaged."""
    try:
        document = json.loads((home / RECORD).read_bytes())
        return Record(
            moved=tuple(map(str, document["moved"])),
            steps=tuple(Recorded(**step) for step in document["steps"]),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return Record()


def _write_record(home: Path, record: Record, steps: list[Step], ids: set[str], now: float) -> None:
    done = [Recorded(at=now, kind=step.kind, path=step.path, message=step.message) for step in steps]
    document = {
        "moved": sorted({*record.moved, *ids}),
        "steps": [asdict(step) for step in (*record.steps, *done)],
    }
    write_file(home / RECORD, (json.dumps(document, indent=2) + "\n").encode())


async def _migrate_documents(vault: Path, *, dry_run: bool) -> tuple[Step, ...]:
    plan = await asyncio.to_thread(plan_documents, vault)
    if not dry_run:
        await asyncio.to_thread(write_all, vault, plan.changes)
    return plan.steps


def _plan_entries(vault: Path, entries: Any, moved: tuple[str, ...]) -> tuple[Plan, set[str]]:
    """What to write for the profiles of a configuration, and the ids that are in the vault then."""
    planner = Planner(_reader(vault))
    ids: set[str] = set()
    for profile_id, entry in _named(entries):
        if profile_id in moved:
            continue
        if not is_id(profile_id):
            planner.tell("kept", SECTION, f"profile {shown(profile_id)} stays: this is not an id")
            continue
        try:
            _profile(planner, profile_id, entry)
        except OrchestratorError as error:
            planner.tell("kept", SECTION, f"profile {profile_id} stays: {error}")
        else:
            ids.add(profile_id)
    return planner.plan, ids


def _named(entries: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Both forms that were in use: a mapping by id, and a list whose items have an id."""
    if isinstance(entries, Mapping):
        pairs = [(str(key), value) for key, value in entries.items()]
    elif isinstance(entries, list):
        pairs = [(str(item.get("id")), item) for item in entries if isinstance(item, Mapping)]
    else:
        pairs = []
    for profile_id, entry in pairs:
        yield profile_id, entry if isinstance(entry, Mapping) else {}


def _profile(planner: Planner, profile_id: str, entry: Mapping[str, Any]) -> None:
    """Raises InvalidInput when no document can say what the entry says."""
    address = documents.address_of(profile_id)
    path = path_of(address)
    if planner.at(path) is not None:
        planner.tell("kept", path, f"profile {profile_id} of the configuration: the vault has its own")
        return
    plain = {**entry, "id": profile_id}
    inline = plain.get("mcp_servers")
    if isinstance(inline, Mapping):
        plain["mcp_servers"] = [str(name) for name in inline if is_id(str(name))]
    portable = load(yaml.safe_dump({KEY: plain}, sort_keys=False, allow_unicode=True))
    blank = AgentProfile(id=profile_id, name=profile_id)
    found = documents.checked(portable.fields, blank, overlay=False)
    data = documents.written(address, documents.with_values(blank, found.values))
    if isinstance(inline, Mapping):
        planner.servers({str(name): item for name, item in inline.items()}, None, SECTION)
    planner.put(path, data, "profile", f"profile {profile_id}, from the configuration")


def _reader(vault: Path) -> Callable[[str], bytes | None]:
    def present(path: str) -> bytes | None:
        try:
            return (vault / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    return present
