"""Commands on projects: create, edit, look, pause."""

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.commands import checks
from orchestrator.commands.command import UNCHANGED, Unchanged, changed
from orchestrator.commands.encoding import INLINE, OPTIONAL
from orchestrator.commands.use import Use
from orchestrator.domain.errors import AlreadyExists, InvalidInput, NotFound
from orchestrator.domain.event import Event
from orchestrator.domain.project import CheckoutKind, Project
from orchestrator.store import events, profiles, projects, tasks
from orchestrator.store.database import Transaction


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateProject:
    id: str
    name: str | None = None
    """Absent: the id."""
    default_profile_id: str | None = None
    weight: float = 1.0
    max_concurrent: int | None = None
    budget_usd_per_day: float | None = None
    budget_tokens_per_day: int | None = None
    requires: tuple[str, ...] = ()
    """Labels that a worker must have to take its tasks."""
    repository: str | None = None
    checkout: CheckoutKind | None = None
    """Absent: `worktree` for a git repository, `directory` for another directory, else `empty`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectCreated:
    created: str
    name: str
    checkout: CheckoutKind
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class EditProject:
    project_id: str
    name: str | Unchanged = UNCHANGED
    default_profile_id: str | Unchanged | None = UNCHANGED
    weight: float | Unchanged = UNCHANGED
    max_concurrent: int | Unchanged | None = UNCHANGED
    budget_usd_per_day: float | Unchanged | None = UNCHANGED
    budget_tokens_per_day: int | Unchanged | None = UNCHANGED
    requires: tuple[str, ...] | Unchanged = UNCHANGED
    repository: str | Unchanged | None = UNCHANGED
    checkout: CheckoutKind | Unchanged = UNCHANGED


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectUpdated:
    updated: str
    fields: tuple[str, ...]
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedProject:
    """A request about one project."""

    project_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectDetails:
    project: Project = field(metadata=INLINE)
    tasks: dict[str, int]
    """How many there are in each state."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListProjects:
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectList:
    projects: tuple[Project, ...]
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectPaused:
    project_id: str
    paused: bool


async def create_project(use: Use, request: CreateProject) -> ProjectCreated:
    """Add a project."""
    now = use.clock()
    wanted = Project(
        id=checks.check_id(request.id, "id"),
        name=checks.check_title(request.name if request.name is not None else request.id, "name"),
        created_at=now,
        updated_at=now,
        default_profile_id=request.default_profile_id,
        weight=request.weight,
        max_concurrent=request.max_concurrent,
        budget_usd_per_day=request.budget_usd_per_day,
        budget_tokens_per_day=request.budget_tokens_per_day,
        requires=checks.check_requires(request.requires),
        repository=_as_one_path(request.repository),
        checkout=request.checkout or _suitable(request.repository),
    )
    _check(wanted)

    def write(tx: Transaction) -> None:
        if projects.get(tx, wanted.id) is not None:
            way_out = f"change it with `orchestrator project edit {wanted.id}`, or choose another id"
            raise AlreadyExists(f"project {wanted.id} already exists; {way_out}", field="id")
        known_profile(tx, wanted.default_profile_id, "default_profile_id")
        projects.create(tx, wanted)
        events.append(tx, _event("project.created", wanted.id, now))

    await use.database.run(write)
    return ProjectCreated(
        created=wanted.id,
        name=wanted.name,
        checkout=wanted.checkout,
        warnings=_warnings(wanted, assumed=request.checkout is None),
    )


async def edit_project(use: Use, request: EditProject) -> ProjectUpdated:
    """Change a project; `default_profile_id: null` clears it."""
    fields = changed(
        name=request.name,
        default_profile_id=request.default_profile_id,
        weight=request.weight,
        max_concurrent=request.max_concurrent,
        budget_usd_per_day=request.budget_usd_per_day,
        budget_tokens_per_day=request.budget_tokens_per_day,
        requires=request.requires,
        repository=request.repository,
        checkout=request.checkout,
    )
    if not fields:
        raise InvalidInput("No fields to update")
    if "name" in fields:
        fields["name"] = checks.check_title(fields["name"], "name")
    if "requires" in fields:
        fields["requires"] = checks.check_requires(fields["requires"])
    if "repository" in fields:
        fields["repository"] = _as_one_path(fields["repository"])
    if "repository" in fields and "checkout" not in fields:
        fields["checkout"] = _suitable(fields["repository"])
    now = use.clock()

    def write(tx: Transaction) -> Project:
        project = replace(known_project(tx, request.project_id), **fields, updated_at=now)
        _check(project)
        if "default_profile_id" in fields:
            known_profile(tx, project.default_profile_id, "default_profile_id")
        projects.update(tx, project)
        # What held its tasks may have been what is changed here.
        tasks.reconsider(tx, project_id=project.id)
        events.append(tx, _event("project.updated", project.id, now, fields=sorted(fields)))
        return project

    project = await use.database.run(write)
    return ProjectUpdated(
        updated=project.id,
        fields=tuple(sorted(fields)),
        warnings=_warnings(project, assumed="repository" in fields and request.checkout is UNCHANGED),
    )


async def get_project(use: Use, request: NamedProject) -> ProjectDetails:
    """Show a project and how many tasks it has in each state."""

    def read(tx: Transaction) -> ProjectDetails:
        project = known_project(tx, request.project_id)
        return ProjectDetails(project=project, tasks=projects.count_tasks(tx, project.id))

    return await use.database.read(read)


async def list_projects(use: Use, request: ListProjects) -> ProjectList:
    """List the projects by id."""
    del request
    found = tuple(await use.database.read(projects.list_projects))
    return ProjectList(projects=found, count=len(found))


async def pause_project(use: Use, request: NamedProject) -> ProjectPaused:
    """Start no more of a project's tasks; those that run go on."""
    return await _set_paused(use, request.project_id, paused=True)


async def resume_project(use: Use, request: NamedProject) -> ProjectPaused:
    """Start a paused project's tasks again."""
    return await _set_paused(use, request.project_id, paused=False)


async def _set_paused(use: Use, project_id: str, *, paused: bool) -> ProjectPaused:
    now = use.clock()

    def write(tx: Transaction) -> None:
        project = known_project(tx, project_id)
        if project.paused != paused:
            projects.update(tx, replace(project, paused=paused, updated_at=now))
            events.append(tx, _event("project.paused" if paused else "project.resumed", project_id, now))

    await use.database.run(write)
    return ProjectPaused(project_id=project_id, paused=paused)


def known_project(tx: Transaction, project_id: str, field: str = "project_id") -> Project:
    """Raises NotFound."""
    found = projects.get(tx, checks.check_id(project_id, field))
    if found is None:
        raise NotFound(
            f"project {project_id} not found; `orchestrator project list` shows those there are", field=field
        )
    return found


def only_project(tx: Transaction) -> Project:
    """The project when there is but one. Raises InvalidInput when somebody has to choose."""
    there = projects.list_projects(tx)
    if len(there) == 1:
        return there[0]
    if not there:
        raise InvalidInput(
            "there is no project yet; add one with `orchestrator project add ID`", field="project_id"
        )
    some = ", ".join(project.id for project in there[:5])
    raise InvalidInput(f"project_id is required, as there are several: {some}", field="project_id")


def known_profile(tx: Transaction, profile_id: str | None, field: str) -> None:
    """Raises NotFound; `None` passes."""
    if profile_id is not None and profiles.get_profile(tx, checks.check_id(profile_id, field)) is None:
        raise NotFound(
            f"profile {profile_id} not found; `orchestrator profile list` shows those there are, and "
            "`orchestrator vault sync` reads new ones",
            field=field,
        )


def _as_one_path(repository: str | None) -> str | None:
    """The path as everybody writes it: projects that share a directory are found by it."""
    if repository is None or not Path(repository).is_absolute():
        return repository
    return str(Path("/", *Path(repository).parts[1:]))


def _suitable(repository: str | None) -> CheckoutKind:
    if repository is None:
        return CheckoutKind.EMPTY
    return CheckoutKind.WORKTREE if (Path(repository) / ".git").exists() else CheckoutKind.DIRECTORY


def _check(project: Project) -> None:
    checks.check_number(project.weight, "weight", most=1000)
    checks.check_number(project.max_concurrent, "max_concurrent", least=1, most=10_000)
    checks.check_number(project.budget_usd_per_day, "budget_usd_per_day")
    checks.check_number(project.budget_tokens_per_day, "budget_tokens_per_day", most=checks.TOKENS)
    if project.repository is None:
        if project.checkout is not CheckoutKind.EMPTY:
            raise InvalidInput(f"checkout '{project.checkout}' needs a repository", field="repository")
        return
    if not Path(project.repository).is_absolute() or "\x00" in project.repository:
        raise InvalidInput(
            f"repository must be an absolute path, got {project.repository!r}", field="repository"
        )


def _warnings(project: Project, *, assumed: bool) -> tuple[str, ...]:
    """Of a repository that is not here; with `assumed`, what suits it could not be looked up."""
    if project.repository is None or Path(project.repository).is_dir():
        return ()
    said = f"{project.repository} is not a directory on this host"
    if not assumed:
        return (said,)
    again = shlex.join(("orchestrator", "project", "edit", project.id, "--repository", project.repository))
    return (
        f"{said}, so checkout `{project.checkout}` is only assumed; once it is there, `{again}` looks again",
    )


def _event(kind: str, project_id: str, now: float, **data: Any) -> Event:
    return Event(kind=kind, subject=f"project/{project_id}", at=now, data=data, project_id=project_id)
