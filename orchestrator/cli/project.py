"""`orchestrator project ...`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output
from orchestrator.cli.hints import typed
from orchestrator.cli.session import call
from orchestrator.cli.whole import WHOLE
from orchestrator.commands import projects
from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.project import CheckoutKind

Id = Annotated[str, Parameter(help="Id of the project.")]
Name = Annotated[str | None, Parameter(help="A name for people.")]
Profile = Annotated[str | None, Parameter(help="Profile of tasks that name none.")]
Weight = Annotated[float | None, Parameter(help="Share of the slots relative to other projects.")]
MaxConcurrent = Annotated[int | None, WHOLE, Parameter(help="Attempts at once, at most.")]
Budget = Annotated[float | None, Parameter(help="Spend of a day (UTC) at most, in USD.")]
Tokens = Annotated[int | None, WHOLE, Parameter(help="Tokens of a day (UTC) at most.")]
Requires = Annotated[
    list[str] | None, Parameter(help="A label that a worker must have for its tasks; repeatable.")
]
Repository = Annotated[Path | None, Parameter(help="A directory or a git repository.")]
Clear = Annotated[
    list[str] | None,
    Parameter(help="A field to clear: profile, max-concurrent, budget, tokens, repository, requires."),
]
Checkout = Annotated[CheckoutKind | None, Parameter(help="Absent: what suits the repository.")]

ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+:/|[^/\s]+@[^/\s]+:")
"""What git would clone from elsewhere: `https://host/path` (a Path keeps one slash), `user@host:path`."""

_CLEARED = {
    "profile": "default_profile_id",
    "max-concurrent": "max_concurrent",
    "budget": "budget_usd_per_day",
    "tokens": "budget_tokens_per_day",
    "repository": "repository",
}


def add(
    project: Id,
    *,
    name: Name = None,
    profile: Profile = None,
    weight: Weight = None,
    max_concurrent: MaxConcurrent = None,
    budget: Budget = None,
    tokens: Tokens = None,
    requires: Requires = None,
    repository: Repository = None,
    checkout: Checkout = None,
) -> None:
    """Add a project."""
    fields = _fields(name, profile, weight, max_concurrent, budget, repository, checkout)
    fields |= _bounds(tokens, requires)
    output.show(call(projects.create_project, projects.CreateProject(id=project, **fields)), _created)


def edit(
    project: Id,
    *,
    name: Name = None,
    profile: Profile = None,
    weight: Weight = None,
    max_concurrent: MaxConcurrent = None,
    budget: Budget = None,
    tokens: Tokens = None,
    requires: Requires = None,
    repository: Repository = None,
    checkout: Checkout = None,
    clear: Clear = None,
) -> None:
    """Change a project."""
    fields = _fields(name, profile, weight, max_concurrent, budget, repository, checkout)
    fields |= _bounds(tokens, requires)
    for field in clear or ():
        if field == "requires":
            fields["requires"] = ()
            continue
        if field not in _CLEARED:
            known = ", ".join((*_CLEARED, "requires"))
            raise InvalidInput(f"clear: {field!r} is not one of {known}", field="clear")
        fields[_CLEARED[field]] = None
    output.show(call(projects.edit_project, projects.EditProject(project_id=project, **fields)), _updated)


def list_() -> None:
    """List the projects."""
    output.show(call(projects.list_projects, projects.ListProjects()), _list)


def show(project: Id) -> None:
    """Show a project."""
    output.show(call(projects.get_project, projects.NamedProject(project_id=project)), _details)


def pause(project: Id) -> None:
    """Start no more of a project's tasks; those that run go on."""
    output.show(call(projects.pause_project, projects.NamedProject(project_id=project)), _paused)


def resume(project: Id) -> None:
    """Start a paused project's tasks again."""
    output.show(call(projects.resume_project, projects.NamedProject(project_id=project)), _paused)


def _fields(
    name: str | None,
    profile: str | None,
    weight: float | None,
    max_concurrent: int | None,
    budget: float | None,
    repository: Path | None,
    checkout: CheckoutKind | None,
) -> dict[str, Any]:
    fields = {
        "name": name,
        "default_profile_id": profile,
        "weight": weight,
        "max_concurrent": max_concurrent,
        "budget_usd_per_day": budget,
        "repository": None if repository is None else _local(repository),
        "checkout": checkout,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _bounds(tokens: int | None, requires: list[str] | None) -> dict[str, Any]:
    fields = {
        "budget_tokens_per_day": tokens,
        "requires": None if requires is None else tuple(requires),
    }
    return {key: value for key, value in fields.items() if value is not None}


def _created(done: projects.ProjectCreated) -> Iterator[RenderableType]:
    # Where the repository is not there, the warning says what its checkout is taken to be.
    checkout = "" if done.warnings else f", checkout: {done.checkout}"
    yield output.text(f"project {done.created} created{checkout}")
    yield from output.warnings(done.warnings)
    yield output.hint("ask for a task", typed(f"task add --project {done.created} 'what to do'"))


def _updated(done: projects.ProjectUpdated) -> Iterator[RenderableType]:
    yield output.text(f"project {done.updated} updated: {', '.join(done.fields)}")
    yield from output.warnings(done.warnings)


def _list(found: projects.ProjectList) -> Iterator[RenderableType]:
    if not found.projects:
        yield output.hint("no projects; add one", typed("project add ID --repository PATH"), "")
        return
    yield output.table(
        ("id", "default profile", "checkout", "weight", "limit", "name"),
        (
            (
                project.id + (" (paused)" if project.paused else ""),
                project.default_profile_id or "-",
                project.checkout,
                f"{project.weight:g}",
                project.max_concurrent or "-",
                project.name,
            )
            for project in found.projects
        ),
    )


def _details(found: projects.ProjectDetails) -> Iterator[RenderableType]:
    project = found.project
    counts = ", ".join(f"{count} {state}" for state, count in sorted(found.tasks.items()))
    yield output.facts(
        (
            ("project", project.id),
            ("name", project.name),
            ("paused", "yes" if project.paused else "no"),
            ("default profile", project.default_profile_id or "none: the system default"),
            ("repository", project.repository),
            ("checkout", project.checkout),
            ("weight", f"{project.weight:g}"),
            ("attempts at once", project.max_concurrent or "no limit of its own"),
            ("USD a day", project.budget_usd_per_day or "no limit of its own"),
            ("tokens a day", project.budget_tokens_per_day or "no limit of its own"),
            ("requires", ", ".join(project.requires) or None),
            ("tasks", counts or "none"),
        )
    )


def _paused(done: projects.ProjectPaused) -> Iterator[RenderableType]:
    yield output.text(f"project {done.project_id} is {'paused' if done.paused else 'not paused'}")


def _local(repository: Path) -> str:
    """As an absolute path. Raises InvalidInput for an address: worktrees are made of a clone on this host."""
    if not repository.exists() and ADDRESS.match(str(repository)):
        raise InvalidInput(
            f"repository must be a directory on this host, got {str(repository)!r}; clone it and give the "
            "path of the clone",
            field="repository",
        )
    return str(repository.expanduser().absolute())
