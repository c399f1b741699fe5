"""`orchestrator profile ...` and `orchestrator tools`."""

from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import output
from orchestrator.cli.effective import lines_of
from orchestrator.cli.hints import typed
from orchestrator.cli.session import call
from orchestrator.cli.times import shown
from orchestrator.commands import effective as effective_profiles
from orchestrator.commands import profiles
from orchestrator.commands import tools as available
from orchestrator.commands.visible import one_line

Id = Annotated[str, Parameter(help="Id of the profile.")]


def list_() -> None:
    """List the profiles."""
    output.show(call(profiles.list_profiles, profiles.ListProfiles()), _list)


def show(profile: Id) -> None:
    """Show a profile as its document says it."""
    output.show(call(profiles.get_profile, profiles.GetProfile(profile_id=profile)), _details)


def effective(
    profile: Id,
    *,
    project: Annotated[str | None, Parameter(help="Absent: the only project there is.")] = None,
) -> None:
    """Show what a profile comes to in a project, and where each value comes from."""
    request = effective_profiles.ShowEffectiveProfile(agent_type=profile, project_id=project)
    output.show(call(effective_profiles.show_effective_profile, request), _effective)


def tools() -> None:
    """List the tools and MCP servers that a profile can name."""
    output.show(call(available.list_available_tools, available.ListTools()), _tools)


def _list(found: profiles.ProfileList) -> Iterator[RenderableType]:
    if not found.profiles:
        yield output.hint("no profiles yet; read those of the vault", typed("vault sync"), "")
        return
    yield output.table(
        ("id", "model", "tools", "servers", "description"),
        (
            (
                profile.id,
                profile.model,
                _names(profile.allowed_tools),
                ", ".join(profile.mcp_servers) or "-",
                one_line(profile.description, 60),
            )
            for profile in found.profiles
        ),
    )


def _details(profile: profiles.ProfileDetails) -> Iterator[RenderableType]:
    limits = {
        "turns": profile.max_turns,
        "tokens": profile.max_tokens_per_task,
        "USD": profile.max_budget_usd,
        "seconds": profile.timeout_seconds,
    }
    if profile.problem is not None:
        yield output.text(f"warning: this is the last good revision; now: {profile.problem}", "yellow")
    yield output.facts(
        (
            ("profile", profile.id),
            ("name", profile.name),
            ("description", profile.description or None),
            ("harness", profile.harness or profiles.INHERITED),
            ("model", profile.model),
            ("permission mode", profile.permission_mode),
            ("tools", _names(profile.allowed_tools)),
            ("denied tools", ", ".join(profile.denied_tools) or None),
            ("MCP servers", ", ".join(profile.mcp_servers) or None),
            ("limits", ", ".join(f"{n:g} {unit}" for unit, n in limits.items() if n is not None) or None),
            ("needs", ", ".join(f"{kind}: {' '.join(n)}" for kind, n in profile.install.items()) or None),
        )
    )
    if profile.system_prompt_suffix:
        yield output.text(f"\n{profile.system_prompt_suffix}")
    if profile.history:
        yield output.text("")
        yield output.table(
            ("accepted", "commit", "by"),
            (
                (shown(one.accepted_at) or "", (one.commit or "-")[:12], one.author or "-")
                for one in profile.history
            ),
        )


def _effective(found: effective_profiles.Effective) -> Iterator[RenderableType]:
    if found.profile is None:
        yield output.text(f"project {found.project_id} has no profile {found.agent_type}")
    else:
        where = "the project's own" if found.source == "project" else "the system's"
        yield output.text(f"{found.agent_type} in project {found.project_id}: {where}", "bold")
        yield from lines_of(found.fields)
    yield from output.warnings(found.warnings)


def _tools(found: available.AvailableTools) -> Iterator[RenderableType]:
    yield output.table(("tool", "description"), ((t.name, one_line(t.description, 100)) for t in found.tools))
    yield output.text("")
    yield output.table(
        ("MCP server", "npm package", "description"),
        ((s.name, s.npm_package, one_line(s.description, 80)) for s in found.mcp_servers),
    )


def _names(tools: tuple[str, ...] | str) -> str:
    if isinstance(tools, str):
        return tools
    return ", ".join(tools) or profiles.INHERITED
