"""`orchestrator profile add`, `edit`, `remove`, `overrides`: in the system or in a project."""

from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output
from orchestrator.cli.profile_options import Fields, cleared
from orchestrator.cli.session import call
from orchestrator.commands import profile_write as system
from orchestrator.commands import project_profiles as scoped

Id = Annotated[str, Parameter(help="Id of the profile.")]
Project = Annotated[
    str | None, Parameter(help="The project's own version of it; absent: that of the system.")
]

_NOTHING = Fields()


def add(
    profile: Id,
    *,
    project: Project = None,
    blank: Annotated[
        bool, Parameter(help="With --project: do not begin with a copy of the system's.")
    ] = False,
    fields: Fields = _NOTHING,
) -> None:
    """Add a profile, or a project's own version of one."""
    given = fields.given()
    if project is None:
        new = system.CreateProfile(id=profile, **{"name": profile, **given})
        output.show(call(system.create_profile, new), _created)
        return
    own = scoped.CreateProjectProfile(
        project_id=project, agent_type=profile, seed_from_global=not blank, **given
    )
    output.show(call(scoped.create_project_profile, own), _created)


def edit(
    profile: Id,
    *,
    project: Project = None,
    clear: Annotated[
        list[str] | None, Parameter(help="A field that inherits again, named as its option; again for each.")
    ] = None,
    fields: Fields = _NOTHING,
) -> None:
    """Change fields of a profile; the rest of its document stays as it is."""
    given = fields.given() | cleared(clear)
    if project is None:
        output.show(call(system.edit_profile, system.EditProfile(profile_id=profile, **given)), _updated)
        return
    own = scoped.EditProjectProfile(project_id=project, agent_type=profile, **given)
    output.show(call(scoped.edit_project_profile, own), _updated)


def remove(profile: Id, *, project: Project = None) -> None:
    """Remove a profile and what refers to it, or a project's own version of it."""
    if project is None:
        output.show(call(system.delete_profile, system.DeleteProfile(profile_id=profile)), _deleted)
        return
    own = scoped.DeleteProjectProfile(project_id=project, agent_type=profile)
    output.show(call(scoped.delete_project_profile, own), _reset)


def overrides(project: Annotated[str, Parameter(help="Id of the project.")]) -> None:
    """List what each profile is in a project: its own, inherited, or missing."""
    output.show(
        call(scoped.list_project_profiles, scoped.ListProjectProfiles(project_id=project)), _overrides
    )


def _created(done: system.ProfileCreated | scoped.ProjectProfileCreated) -> Iterator[RenderableType]:
    where = f" in {done.path}" if isinstance(done, scoped.ProjectProfileCreated) else ""
    yield output.text(f"profile {done.created} created{where}")
    yield from output.warnings(done.warnings)


def _updated(done: system.ProfileUpdated | scoped.ProjectProfileUpdated) -> Iterator[RenderableType]:
    yield output.text(f"profile {done.updated} updated: {', '.join(done.fields)}")
    yield from output.warnings(done.warnings)


def _deleted(done: system.ProfileDeleted) -> Iterator[RenderableType]:
    yield output.text(f"profile {done.deleted} ({done.name}) removed; nothing refers to it any more")


def _reset(done: scoped.ProjectProfileDeleted) -> Iterator[RenderableType]:
    for path in done.removed_paths:
        yield output.text(f"removed {path}")


def _overrides(found: scoped.ProjectProfileList) -> Iterator[RenderableType]:
    def model(row: object) -> str:
        return getattr(row, "model", "-")

    yield output.table(
        ("profile", "state", "model here", "model of the system"),
        (
            (row["agent_type"], row["state"], model(row["effective"]), model(row["global"]))
            for row in found.agent_types
        ),
    )
