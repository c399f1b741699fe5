"""Commands that look at profiles: all, one, and what one comes to in a project."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.commands import checks
from orchestrator.commands.encoding import OPTIONAL
from orchestrator.commands.use import Use
from orchestrator.domain.errors import NotFound
from orchestrator.domain.profile import AgentProfile
from orchestrator.store import profiles, revisions
from orchestrator.store.database import Transaction
from orchestrator.store.revisions import Revision

SHOWN = 10
"""Revisions in the details of a profile."""

INHERITED = "(default)"
"""Shown for a model or permission mode that a profile leaves to its harness."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListProfiles:
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileSummary:
    id: str
    name: str
    description: str
    model: str
    allowed_tools: tuple[str, ...] | str
    """"none" for no tools at all; an empty list inherits."""
    mcp_servers: tuple[str, ...]
    has_system_prompt: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileList:
    profiles: tuple[ProfileSummary, ...]
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class GetProfile:
    profile_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileRevision:
    """A content of the document: when it was accepted, and as far as is known which commit or who brought it.
    `accepted_at` is Unix seconds."""

    digest: str
    accepted_at: float
    commit: str | None = None
    author: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileDetails:
    """Every field as the document says it; limits and lists that inherit are null or empty."""

    id: str
    name: str
    description: str
    tags: tuple[str, ...]
    harness: str | None
    model: str
    permission_mode: str
    allowed_tools: tuple[str, ...] | str
    denied_tools: tuple[str, ...]
    mcp_servers: tuple[str, ...]
    system_prompt_suffix: str
    max_tokens_per_task: int | None
    max_turns: int | None
    max_budget_usd: float | None
    timeout_seconds: float | None
    settings: Mapping[str, Any]
    install: Mapping[str, Any]
    problem: str | None = field(default=None, metadata=OPTIONAL)
    """What is wrong with its document now, when this is the last good revision."""
    history: tuple[ProfileRevision, ...] = field(default=(), metadata=OPTIONAL)
    """What was accepted last, newest first."""


async def list_profiles(use: Use, request: ListProfiles) -> ProfileList:
    """List the profiles by name."""
    del request
    found = await use.database.read(profiles.list_profiles)
    rows = tuple(summary(profile) for profile in sorted(found, key=lambda p: (p.name.casefold(), p.id)))
    return ProfileList(profiles=rows, count=len(rows))


async def get_profile(use: Use, request: GetProfile) -> ProfileDetails:
    """Show every field of a profile as its document says it."""
    profile_id = checks.check_id(request.profile_id, "profile_id")

    def read(tx: Transaction) -> ProfileDetails:
        profile = profiles.get_profile(tx, profile_id)
        if profile is None:
            raise NotFound(
                f"profile {profile_id} not found; `orchestrator profile list` shows those there are",
                field="profile_id",
            )
        known = revisions.history(tx, profile_id, limit=SHOWN)
        return _details(profile, profiles.problem(tx, profile_id), known)

    return await use.database.read(read)


def summary(profile: AgentProfile) -> ProfileSummary:
    return ProfileSummary(
        id=profile.id,
        name=profile.name,
        description=profile.description,
        model=profile.model or INHERITED,
        allowed_tools=_tools(profile),
        mcp_servers=profile.mcp_servers or (),
        has_system_prompt=bool(profile.system_prompt_suffix),
    )


def _details(profile: AgentProfile, problem: str | None, known: Sequence[Revision]) -> ProfileDetails:
    return ProfileDetails(
        id=profile.id,
        name=profile.name,
        description=profile.description,
        tags=profile.tags,
        harness=profile.harness,
        model=profile.model or INHERITED,
        permission_mode=profile.permission_mode or INHERITED,
        allowed_tools=_tools(profile),
        denied_tools=profile.denied_tools or (),
        mcp_servers=profile.mcp_servers or (),
        system_prompt_suffix=profile.system_prompt_suffix or "",
        max_tokens_per_task=profile.max_tokens_per_task,
        max_turns=profile.max_turns,
        max_budget_usd=profile.max_budget_usd,
        timeout_seconds=profile.timeout_seconds,
        settings=profile.settings or {},
        install=profile.install.to_dict(),
        problem=problem,
        history=tuple(
            ProfileRevision(
                digest=one.digest, accepted_at=one.accepted_at, commit=one.commit, author=one.author
            )
            for one in known
        ),
    )


def _tools(profile: AgentProfile) -> tuple[str, ...] | str:
    """Written as a document has it: an empty list inherits, so that none at all needs its own word."""
    return "none" if profile.allowed_tools == () else profile.allowed_tools or ()
