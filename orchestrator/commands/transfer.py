"""Commands that hand profiles to others and take theirs."""

from dataclasses import dataclass, field
from typing import Any

from orchestrator.commands import checks, gist
from orchestrator.commands import profile_documents as documents
from orchestrator.commands.encoding import OPTIONAL
from orchestrator.commands.manifest import packages
from orchestrator.commands.use import Use
from orchestrator.commands.visible import one_line
from orchestrator.domain.errors import AlreadyExists, InvalidInput
from orchestrator.domain.manifest import InstallManifest
from orchestrator.domain.profile import AgentProfile
from orchestrator.install.manifest import Provisioned
from orchestrator.store import profiles
from orchestrator.store.database import Transaction
from orchestrator.vault.change import Change, locked, read_file
from orchestrator.vault.document import Parsed
from orchestrator.vault.layout import Address, path_of
from orchestrator.vault.portable import Portable, dump, load


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportProfile:
    profile_id: str
    create_gist: bool = False
    """Also publish it, for everyone to see."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileExported:
    yaml: str
    gist_url: str | None = field(default=None, metadata=OPTIONAL)
    gist_error: str | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportProfile:
    source: str
    """YAML text, or the address of a gist."""
    id: str | None = None
    name: str | None = None
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileImported:
    imported: str
    id: str
    name: str
    ready: bool
    """Everything that the profile needs is installed."""
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    installed: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    already_present: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    manual: tuple[str, ...] = field(default=(), metadata=OPTIONAL)


async def export_profile(use: Use, request: ExportProfile) -> ProfileExported:
    """Give a profile as YAML that `import_profile` takes, and publish it as a gist when asked to."""
    address = documents.address_of(checks.check_id(request.profile_id, "profile_id"))
    profile = await use.database.read(profiles.get_profile, address.id)
    if profile is None:
        raise documents.missing(address)
    text = dump(profile)
    if not request.create_gist:
        return ProfileExported(yaml=text)
    try:
        url = await gist.publish(
            text, filename=f"{profile.id}.yaml", description=f"Agent profile: {one_line(profile.name)}"
        )
    except gist.GistFailed as error:
        return ProfileExported(yaml=text, gist_error=str(error))
    return ProfileExported(yaml=text, gist_url=url)


async def import_profile(use: Use, request: ImportProfile) -> ProfileImported:
    """Take a profile from YAML or a gist into the vault, and install what it needs."""
    url = gist.is_url(request.source)
    portable = load(await gist.fetch(request.source) if url else request.source)
    profile_id = request.id if request.id is not None else portable.id
    if profile_id is None:
        raise InvalidInput("the profile has no id; give one", field="id")
    address = documents.address_of(checks.check_id(profile_id, "id"))
    fields = dict(portable.fields) | ({} if request.name is None else {"name": request.name})
    blank = AgentProfile(id=profile_id, name=profile_id)
    found = documents.checked(fields, blank, overlay=False)
    wanted = documents.with_values(blank, found.values)

    def look(tx: Transaction) -> frozenset[str]:
        documents.name_is_free(tx, wanted)
        return documents.known_servers(tx, None)

    async with locked(use.host.vault):
        path = path_of(address)
        before = await read_file(use.host.vault, path)
        if before is not None and not request.overwrite:
            raise AlreadyExists(
                f"profile {profile_id} already exists (use overwrite=true to replace)", field="id"
            )
        known = await use.database.read(look)
        data = _replacing(address, wanted, before)
        await documents.save(use, Change(path=path, before=before, after=data))
    said = documents.warnings_of(found, wanted, known)
    return await _imported(use, wanted, portable, said)


async def _imported(
    use: Use, wanted: AgentProfile, portable: Portable, warnings: tuple[str, ...]
) -> ProfileImported:
    needed = await _provide(use, wanted.install)
    return ProfileImported(
        imported=wanted.id,
        id=wanted.id,
        name=wanted.name,
        ready=needed.ready,
        warnings=(*portable.warnings, *warnings, *needed.issues),
        installed=needed.installed,
        already_present=needed.already_present,
        manual=needed.manual,
    )


async def _provide(use: Use, needed: InstallManifest) -> Provisioned:
    """Install what is missing, or only report it where the operator wants that."""
    if needed.is_empty:
        return Provisioned()
    if use.host.install_on_import:
        return await packages(use).install(needed)
    found = await packages(use).check(needed)
    return Provisioned(already_present=found.present, manual=found.missing, issues=found.issues)


def _replacing(address: Address, wanted: AgentProfile, before: bytes | None) -> bytes:
    """The document that says what is wanted. What the operator wrote around it stays, where that can be."""
    current: Any = None if before is None else documents.read(address, before)
    if isinstance(current, Parsed):
        try:
            return documents.written(address, wanted, current)
        except InvalidInput:
            pass  # such as a prompt that a file with the line ends of Windows cannot hold
    return documents.written(address, wanted)
