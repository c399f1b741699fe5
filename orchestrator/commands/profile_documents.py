"""Profiles as commands find and leave them: the documents of the vault."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from orchestrator.commands import profile_fields as request_fields
from orchestrator.commands.profile_fields import Checked
from orchestrator.commands.use import Use
from orchestrator.domain.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from orchestrator.domain.modes import DEFAULT_HARNESS
from orchestrator.domain.profile import AgentProfile
from orchestrator.domain.tools import EMBEDDED_NAMES, EMBEDDED_SERVER
from orchestrator.store import profiles, revisions, servers
from orchestrator.store.database import Transaction
from orchestrator.vault.change import Change, carry_out, read_file
from orchestrator.vault.document import Parsed, parse
from orchestrator.vault.layout import Address, path_of, place_of
from orchestrator.vault.plan import digest_of
from orchestrator.vault.problem import Rejected
from orchestrator.vault.render import NotWritable, edit, render


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A document that is there: its bytes, and what they say."""

    address: Address
    data: bytes
    parsed: Parsed

    @property
    def path(self) -> str:
        return path_of(self.address)


def address_of(profile_id: str, project_id: str | None = None) -> Address:
    return Address(kind="profile", id=profile_id, project_id=project_id)


async def find(use: Use, address: Address) -> Found | None:
    """The document as it is in the vault now. Raises Conflict when it cannot be used."""
    path = path_of(address)
    data = await read_file(use.host.vault, path)
    if data is None:
        return None
    parsed = read(address, data)
    if isinstance(parsed, Rejected):
        raise Conflict(
            f"{path} cannot be used as it is; correct it first: {'; '.join(map(str, parsed.errors))}"
        )
    return Found(address=address, data=data, parsed=parsed)


async def existing(use: Use, address: Address) -> Found:
    """Raises NotFound, and Conflict when the document cannot be used."""
    found = await find(use, address)
    if found is None:
        raise missing(address)
    return found


def missing(address: Address) -> NotFound:
    if address.project_id is None:
        return NotFound(
            f"profile {address.id} not found; `orchestrator profile list` shows those there are",
            field="profile_id",
        )
    return NotFound(
        f"project {address.project_id} has no profile {address.id} of its own: not found", field="agent_type"
    )


def read(address: Address, data: bytes) -> Parsed | Rejected:
    return parse(
        data,
        profile_id=address.id,
        overlay=address.project_id is not None,
        known_tools=EMBEDDED_NAMES,
    )


def checked(raw: Mapping[str, Any], current: AgentProfile, *, overlay: bool) -> Checked:
    """The fields given, for this profile. Raises InvalidInput."""
    harness = current.harness or (None if overlay else DEFAULT_HARNESS)
    return request_fields.check(raw, profile_id=current.id, harness=harness)


def with_values(current: AgentProfile, values: Mapping[str, Any]) -> AgentProfile:
    return replace(current, **cast(Any, dict(values)))


def written(address: Address, wanted: AgentProfile, current: Parsed | None = None) -> bytes:
    """The document that says what is wanted: a new one, or the current one with what differs changed.

    Raises InvalidInput when no usable document can say it.
    """
    try:
        data = render(wanted) if current is None else edit(current, wanted)
    except NotWritable as error:
        raise InvalidInput(str(error)) from error
    parsed = read(address, data)
    if isinstance(parsed, Rejected):
        raise InvalidInput("; ".join(problem.message for problem in parsed.errors))
    return data


async def save(use: Use, *changes: Change) -> None:
    """Write documents and see to it that they hold. Raises what `vault.change.carry_out` raises."""
    await carry_out(use.host.vault, changes, use.sync)
    await use.database.run(_sign, changes, use.caller.name)


def _sign(tx: Transaction, changes: Sequence[Change], author: str) -> None:
    for change in changes:
        place = place_of(change.path)
        if change.after is not None and isinstance(place, Address) and place.kind == "profile":
            digest = digest_of(change.after)
            revisions.record_author(tx, place.id, project_id=place.project_id, digest=digest, author=author)


def name_is_free(tx: Transaction, profile: AgentProfile) -> None:
    """Raises AlreadyExists when another system profile has this name."""
    other = profiles.id_of_name(tx, profile.name)
    if other is not None and other != profile.id:
        raise AlreadyExists(
            f"the name '{profile.name}' already exists: it is that of profile {other}; choose another",
            field="name",
        )


def known_servers(tx: Transaction, project_id: str | None) -> frozenset[str]:
    """The names that a profile of this scope can list."""
    listed = servers.list_servers(tx, project_id=project_id)
    return frozenset({server.name for server in listed} | {EMBEDDED_SERVER})


def warnings_of(found: Checked, profile: AgentProfile, known: Collection[str]) -> tuple[str, ...]:
    """Everything doubtful about the fields that were given."""
    extra: Sequence[str] = ()
    if "mcp_servers" in found.values:
        extra = request_fields.unknown_servers(profile.mcp_servers, known)
    doubts = request_fields.doubts(found.values, profile.allowed_tools, profile.denied_tools)
    return (*found.warnings, *doubts, *extra)
