"""Commands that create, change and delete profiles of the system."""

import asyncio
from dataclasses import dataclass, field

from orchestrator.commands import checks
from orchestrator.commands import profile_documents as documents
from orchestrator.commands.encoding import OPTIONAL
from orchestrator.commands.profile_fields import ProfileFields, given
from orchestrator.commands.use import Use
from orchestrator.domain.errors import AlreadyExists, InvalidInput
from orchestrator.domain.profile import AgentProfile
from orchestrator.domain.vault import Document, Removed, VaultChanges
from orchestrator.store import profiles, tasks
from orchestrator.store import vault as store
from orchestrator.store.database import Transaction
from orchestrator.vault.change import Change, locked, put_back, read_file, write_all
from orchestrator.vault.document import Parsed
from orchestrator.vault.layout import Address, path_of


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateProfile(ProfileFields):
    id: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileCreated:
    created: str
    name: str
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class EditProfile(ProfileFields):
    """Fields that are not mentioned stay; null makes one inherit again."""

    profile_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileUpdated:
    updated: str
    fields: tuple[str, ...]
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteProfile:
    profile_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileDeleted:
    deleted: str
    name: str


async def create_profile(use: Use, request: CreateProfile) -> ProfileCreated:
    """Write a new profile into the vault."""
    address = documents.address_of(checks.check_id(request.id, "id"))
    if not request.name.strip():
        raise InvalidInput("name must not be empty", field="name")
    blank = AgentProfile(id=request.id, name=request.id)
    found = documents.checked(given(request), blank, overlay=False)
    wanted = documents.with_values(blank, found.values)
    data = documents.written(address, wanted)

    def look(tx: Transaction) -> frozenset[str]:
        documents.name_is_free(tx, wanted)
        return documents.known_servers(tx, None)

    async with locked(use.host.vault):
        if await read_file(use.host.vault, path_of(address)) is not None:
            raise AlreadyExists(f"profile {wanted.id} already exists; nothing was changed", field="id")
        known = await use.database.read(look)
        await documents.save(use, Change(path=path_of(address), before=None, after=data))
    return ProfileCreated(
        created=wanted.id, name=wanted.name, warnings=documents.warnings_of(found, wanted, known)
    )


async def edit_profile(use: Use, request: EditProfile) -> ProfileUpdated:
    """Change fields of a profile; the rest of its document stays byte for byte."""
    address = documents.address_of(checks.check_id(request.profile_id, "profile_id"))
    raw = given(request)
    if not raw:
        raise InvalidInput("No fields to update")
    async with locked(use.host.vault):
        here = await documents.existing(use, address)
        found = documents.checked(raw, here.parsed.profile, overlay=False)
        wanted = documents.with_values(here.parsed.profile, found.values)
        data = documents.written(address, wanted, here.parsed)

        def look(tx: Transaction) -> frozenset[str]:
            documents.name_is_free(tx, wanted)
            return documents.known_servers(tx, None)

        known = await use.database.read(look)
        await documents.save(use, Change(path=here.path, before=here.data, after=data))
    return ProfileUpdated(
        updated=wanted.id,
        fields=tuple(sorted(raw)),
        warnings=documents.warnings_of(found, wanted, known),
    )


async def delete_profile(use: Use, request: DeleteProfile) -> ProfileDeleted:
    """Remove a profile; tasks, projects and schedules that named it name none then."""
    address = documents.address_of(checks.check_id(request.profile_id, "profile_id"))
    path = path_of(address)
    await use.lead()
    async with locked(use.host.vault):
        data = await read_file(use.host.vault, path)
        gone = Change(path=path, before=data, after=None)
        parsed = None if data is None else documents.read(address, data)
        name = parsed.profile.name if isinstance(parsed, Parsed) else address.id
        await asyncio.to_thread(write_all, use.host.vault, [gone])
        try:
            await use.database.run(_forget, address, there=data is not None, now=use.clock())
        except BaseException:
            await asyncio.to_thread(put_back, use.host.vault, [gone])
            raise
    return ProfileDeleted(deleted=address.id, name=name)


def _forget(tx: Transaction, address: Address, *, there: bool, now: float) -> None:
    """Also of a profile whose file somebody removed by hand: its references are still there. Raises NotFound
    when there is neither file nor row."""
    path = path_of(address)
    digest = store.known_digest(tx, path)
    if digest is not None:
        document = Document(path=path, kind="profile", id=address.id)
        store.apply(tx, VaultChanges(removed=(Removed(document=document, before=digest),)), now)
    if not profiles.delete_profile(tx, address.id) and not there:
        raise documents.missing(address)
    tasks.reconsider(tx)
