"""The command that shows what a profile comes to in a project."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator.commands import checks
from orchestrator.commands.encoding import OPTIONAL
from orchestrator.commands.projects import known_project, only_project
from orchestrator.commands.use import Use
from orchestrator.domain.cascade import Refusal, Resolution, resolve
from orchestrator.domain.catalog import Catalog
from orchestrator.domain.effective import as_json
from orchestrator.domain.task import Task, TaskState
from orchestrator.store import profiles
from orchestrator.store.database import Transaction

Source = Literal["project", "global"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowEffectiveProfile:
    agent_type: str
    """Id of the profile."""
    project_id: str | None = None
    """Absent: the only project there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Effective:
    project_id: str
    agent_type: str
    profile: Mapping[str, Any] | None
    """Field by field, without the origins; null when neither scope has it, or it is refused."""
    source: Source | None
    """Where it comes from: an overlay of the project, or the system only."""
    fields: Mapping[str, Any]
    """Each field as `{"value": ..., "origin": ...}`: the very document that an attempt keeps."""
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)


async def show_effective_profile(use: Use, request: ShowEffectiveProfile) -> Effective:
    """Show what a profile comes to in a project, and where each value comes from."""
    wanted = checks.check_id(request.agent_type, "agent_type")

    def read(tx: Transaction) -> Catalog:
        project = only_project(tx) if request.project_id is None else known_project(tx, request.project_id)
        imagined = Task(
            id="preview",
            project_id=project.id,
            title="preview",
            prompt="",
            state=TaskState.READY,
            created_at=0.0,
            updated_at=0.0,
            profile_id=wanted,
        )
        return profiles.catalog_for(tx, imagined, defaults=use.defaults, ceiling=use.ceiling)

    catalog = await use.database.read(read)
    source = _source(catalog, wanted)
    resolved = None if source is None else resolve(catalog)
    match resolved:
        case Resolution() if resolved.profile_id == wanted:
            fields = as_json(resolved.effective)
            del fields["profile_id"]
            return Effective(
                project_id=catalog.project_id,
                agent_type=wanted,
                profile={"id": wanted, **{name: entry["value"] for name, entry in fields.items()}},
                source=source,
                fields=fields,
                warnings=resolved.warnings,
            )
        case Refusal():
            said: tuple[str, ...] = (resolved.message,)
        case Resolution():
            said = resolved.warnings
        case None:
            said = ()
    return Effective(
        project_id=catalog.project_id,
        agent_type=wanted,
        profile=None,
        source=None,
        fields={},
        warnings=said,
    )


def _source(catalog: Catalog, profile_id: str) -> Source | None:
    overlay, system = catalog.overlays.get(profile_id), catalog.profiles.get(profile_id)
    if overlay is not None and overlay.present:
        return "project"
    return "global" if system is not None and system.present else None
