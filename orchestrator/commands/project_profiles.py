"""Commands on a project's own profiles, which override those of the system field by field."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from orchestrator.commands import checks
from orchestrator.commands import profile_documents as documents
from orchestrator.commands.encoding import OPTIONAL
from orchestrator.commands.profile_documents import Found
from orchestrator.commands.profile_fields import Checked, ProfileFields, given
from orchestrator.commands.profiles import summary
from orchestrator.commands.projects import known_project
from orchestrator.commands.use import Use
from orchestrator.domain.errors import AlreadyExists, InvalidInput
from orchestrator.domain.profile import MERGED_FIELDS, AgentProfile
from orchestrator.store import profiles
from orchestrator.store import vault as store
from orchestrator.store.database import Transaction
from orchestrator.vault.change import Change, locked, read_file
from orchestrator.vault.layout import PROFILE_FILE, PROFILES, PROJECTS, Address, path_of

State = Literal["override", "inherit", "no-default"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateProjectProfile(ProfileFields):
    project_id: str
    agent_type: str
    seed_from_global: bool = True
    """Begin with the system's document of that id, when there is one; else only what is given is set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectProfileCreated:
    created: str
    project_id: str
    agent_type: str
    path: str
    """Below the vault."""
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class EditProjectProfile(ProfileFields):
    """Fields that are not mentioned stay; null makes one inherit again."""

    project_id: str
    agent_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectProfileUpdated:
    updated: str
    project_id: str
    agent_type: str
    fields: tuple[str, ...]
    path: str
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteProjectProfile:
    project_id: str
    agent_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectProfileDeleted:
    deleted: str
    project_id: str
    agent_type: str
    removed_paths: tuple[str, ...]
    """Below the vault; a stray document of the old layout is among them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListProjectProfiles:
    project_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectProfileList:
    project_id: str
    agent_types: tuple[Mapping[str, Any], ...]
    """By id: agent_type, the summaries global, scoped and effective (null where there is none),
    has_override, and state: override, inherit or no-default."""


async def create_project_profile(use: Use, request: CreateProjectProfile) -> ProjectProfileCreated:
    """Give a project its own version of a profile, or a profile of its own."""
    address = _address(request.project_id, request.agent_type)
    path = path_of(address)
    async with locked(use.host.vault):
        known = await use.database.read(_look, request.project_id)
        if await read_file(use.host.vault, path) is not None:
            raise AlreadyExists(
                f"{path} already exists: project {address.project_id} has its own profile {address.id}",
                field="agent_type",
            )
        seed = None
        if request.seed_from_global:
            seed = await documents.find(use, documents.address_of(address.id))
        found, wanted, data = _overlay(address, given(request), seed)
        await documents.save(use, Change(path=path, before=None, after=data))
    return ProjectProfileCreated(
        created=address.id,
        project_id=request.project_id,
        agent_type=address.id,
        path=path,
        warnings=documents.warnings_of(found, wanted, known),
    )


async def edit_project_profile(use: Use, request: EditProjectProfile) -> ProjectProfileUpdated:
    """Change fields of a project's own profile; the rest of its document stays byte for byte."""
    address = _address(request.project_id, request.agent_type)
    raw = given(request)
    if not raw:
        raise InvalidInput("No fields to update")
    async with locked(use.host.vault):
        known = await use.database.read(_look, request.project_id)
        here = await documents.existing(use, address)
        found, wanted, data = _overlay(address, raw, here)
        await documents.save(use, Change(path=here.path, before=here.data, after=data))
    return ProjectProfileUpdated(
        updated=address.id,
        project_id=request.project_id,
        agent_type=address.id,
        fields=tuple(sorted(raw)),
        path=here.path,
        warnings=documents.warnings_of(found, wanted, known),
    )


async def delete_project_profile(use: Use, request: DeleteProjectProfile) -> ProjectProfileDeleted:
    """Remove a project's own profile, so that the system's counts again; strays of it go too."""
    address = _address(request.project_id, request.agent_type)
    async with locked(use.host.vault):
        await use.database.read(_look, request.project_id)
        changes = []
        for path in (path_of(address), *_strays(request.project_id, address.id)):
            data = await read_file(use.host.vault, path)
            if data is not None:
                changes.append(Change(path=path, before=data, after=None))
        if not changes:
            raise documents.missing(address)
        await documents.save(use, *changes)
    return ProjectProfileDeleted(
        deleted=address.id,
        project_id=request.project_id,
        agent_type=address.id,
        removed_paths=tuple(change.path for change in changes),
    )


async def list_project_profiles(use: Use, request: ListProjectProfiles) -> ProjectProfileList:
    """List what each profile is in a project: its own, inherited, or missing."""
    project_id = checks.check_id(request.project_id, "project_id")

    def read(tx: Transaction) -> tuple[Mapping[str, Any], ...]:
        project = known_project(tx, project_id)
        system = {profile.id: profile for profile in profiles.list_profiles(tx)}
        scoped = {profile.id: profile for profile in profiles.list_overlays(tx, project_id)}
        broken = {
            entry.document.id
            for entry in store.known(tx).documents.values()
            if entry.document.kind == "profile" and entry.document.project_id in (None, project_id)
        }
        wanted = {project.default_profile_id} - {None}
        ids = sorted(cast("set[str]", (broken | wanted | system.keys() | scoped.keys()) - {""}))
        return tuple(_row(each, system.get(each), scoped.get(each)) for each in ids)

    return ProjectProfileList(project_id=project_id, agent_types=await use.database.read(read))


def _address(project_id: str, agent_type: str) -> Address:
    return documents.address_of(
        checks.check_id(agent_type, "agent_type"), checks.check_id(project_id, "project_id")
    )


def _look(tx: Transaction, project_id: str) -> frozenset[str]:
    known_project(tx, project_id)
    return documents.known_servers(tx, project_id)


def _overlay(
    address: Address, raw: Mapping[str, Any], base: Found | None
) -> tuple[Checked, AgentProfile, bytes]:
    """The project's document: that of `base` with the given fields changed, or a new one."""
    profile = AgentProfile(id=address.id, name=address.id) if base is None else base.parsed.profile
    found = documents.checked(raw, profile, overlay=True)
    wanted = documents.with_values(profile, found.values)
    return found, wanted, documents.written(address, wanted, None if base is None else base.parsed)


def _strays(project_id: str, agent_type: str) -> tuple[str, ...]:
    """Where an old layout kept the same override."""
    name = f"project:{project_id}:{agent_type}"
    return tuple(f"{scope}{PROFILES}/{name}/{PROFILE_FILE}" for scope in ("", f"{PROJECTS}/{project_id}/"))


def _row(agent_type: str, system: AgentProfile | None, scoped: AgentProfile | None) -> Mapping[str, Any]:
    state: State = "override" if scoped else "inherit" if system else "no-default"
    effective = system if scoped is None else _laid_over(scoped, system)
    return {
        "agent_type": agent_type,
        "global": None if system is None else summary(system),
        "scoped": None if scoped is None else summary(scoped),
        "effective": None if effective is None else summary(effective),
        "has_override": scoped is not None,
        "state": state,
    }


def _laid_over(scoped: AgentProfile, system: AgentProfile | None) -> AgentProfile:
    """The project's fields where it sets them, else the system's; harness and policy come on top of that."""
    if system is None:
        return scoped
    own = {name: getattr(scoped, name) for name in MERGED_FIELDS if getattr(scoped, name) is not None}
    return replace(system, **own)
