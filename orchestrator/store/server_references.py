"""Which profiles name a server, and would get exactly this one."""

from sqlalchemy import Connection, select

from orchestrator.domain.mcp import McpServer
from orchestrator.domain.task import TERMINAL
from orchestrator.store.profile_rows import profile_of
from orchestrator.store.profiles import list_profiles
from orchestrator.store.tables import mcp_servers, profile_overlays, projects, tasks


def referenced_by(tx: Connection, server: McpServer) -> list[str]:
    """Profiles that resolve to this very definition, sorted: `<id>` of the system, `<project>/<id>` of a
    project.

    A project's own server stands in for the system's of that name. So an overlay counts for the one that its
    project sees, and a system profile for a project's server only where that project uses the profile.
    """
    own = {
        row.project_id
        for row in tx.execute(select(mcp_servers.c.project_id).where(mcp_servers.c.name == server.name))
    }
    system = {profile.id for profile in list_profiles(tx) if server.name in (profile.mcp_servers or ())}
    naming, silent = set[tuple[str, str]](), set[tuple[str, str]]()
    query = select(profile_overlays).where(profile_overlays.c.removed_at.is_(None))
    for row in tx.execute(query).mappings():
        overlay = profile_of(row, row["profile_id"])
        key = (row["project_id"], overlay.id)
        if overlay.mcp_servers is None:
            silent.add(key)
        elif server.name in overlay.mcp_servers:
            naming.add(key)
    if server.project_id is None:
        seeing = [f"{project}/{name}" for project, name in naming if project not in own]
        return sorted([*system, *seeing])
    here = server.project_id
    used = _used(tx, here) | {name for project, name in silent if project == here}
    ours = [f"{here}/{name}" for project, name in naming if project == here]
    return sorted([*(system & used), *ours])


def _used(tx: Connection, project_id: str) -> set[str]:
    """Profiles that the project names: as its default, or for a task that has not ended."""
    default = select(projects.c.default_profile_id).where(projects.c.id == project_id)
    ended = [str(state) for state in TERMINAL]
    named = select(tasks.c.profile_id).where(tasks.c.project_id == project_id, tasks.c.state.not_in(ended))
    found = [*tx.execute(default).scalars(), *tx.execute(named.distinct()).scalars()]
    return {profile_id for profile_id in found if profile_id is not None}
