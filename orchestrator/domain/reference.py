"""What a reference to a profile finds: layers to merge, a gap, or a refusal."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from orchestrator.domain.catalog import Catalog, ProfileEntry, Standing
from orchestrator.domain.profile import SYSTEM_DEFAULT, AgentProfile


@dataclass(frozen=True, kw_only=True, slots=True)
class Usable:
    """The layers above the harness's defaults. `lost_base` is set when the overlay is whole but the profile
    beneath it has gone: what it left to that profile now comes from the defaults."""

    profile: AgentProfile | None = None
    overlay: AgentProfile | None = None
    warnings: tuple[str, ...] = ()
    lost_base: "Missing | None" = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """Nothing to run under. `last_known` are the revisions it may last have meant, if any."""

    reason: Literal["missing", "invalid"]
    message: str
    last_known: tuple[Usable, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """Those who govern profiles do not let this project use it."""

    reason: str
    message: str


_WAY_OUT: Final[Mapping[Standing, str]] = MappingProxyType(
    {
        Standing.DISABLED: "is disabled by the instance; have it enabled, or choose another profile",
        Standing.PENDING: "waits for approval; have it approved, or choose another profile",
        Standing.ARCHIVED: "is archived; restore it, or choose another profile",
        Standing.UNBOUND: "is not bound to this project; bind it, or choose another profile",
    }
)


def look_up(catalog: Catalog, profile_id: str) -> Usable | Missing | Refused:
    """What the id stands for in this project: the system's profile, the project's overlay, or both.

    A refusal of either counts before everything else, so that deleting a disabled profile opens nothing.
    An overlay that was deleted is simply no longer there; one that never was valid is passed over with a
    warning, since nothing is known of it. The built-in profile has no document; it can only be refused.
    """
    base, overlay = catalog.profiles.get(profile_id), catalog.overlays.get(profile_id)
    if profile_id == SYSTEM_DEFAULT:
        return _refusal(profile_id, base) or Usable()
    if refused := _refusal(profile_id, base) or _refusal(profile_id, overlay):
        return refused
    under, over = _there(base), _there(overlay)
    warnings = _stale(f"profile {profile_id}", base) + _stale(
        f"overlay of {catalog.project_id} for {profile_id}", overlay
    )
    if under is not None:
        return Usable(profile=under, overlay=over, warnings=warnings)
    lost = _missing(catalog.project_id, profile_id, base, overlay)
    if over is None:
        return lost
    if base is None:
        return Usable(overlay=over, warnings=warnings)
    if base.profile is None:
        return Usable(overlay=over, warnings=(*warnings, lost.message))
    return Usable(overlay=over, warnings=warnings, lost_base=lost)


def _refusal(profile_id: str, entry: ProfileEntry | None) -> Refused | None:
    if entry is None or entry.standing is Standing.USABLE:
        return None
    return Refused(reason=entry.standing.value, message=f"Profile {profile_id} {_WAY_OUT[entry.standing]}.")


def _there(entry: ProfileEntry | None) -> AgentProfile | None:
    """The content to use now: of a document that is there, its last good revision."""
    return entry.profile if entry is not None and entry.present else None


def _stale(what: str, entry: ProfileEntry | None) -> tuple[str, ...]:
    """The warning about a document that does not parse now, as far as it is there."""
    if entry is None or not entry.present or entry.valid:
        return ()
    error = f" ({entry.error})" if entry.error else ""
    if entry.profile is None:
        return (f"{what} was never valid{error} and is not applied; correct its document",)
    return (f"{what} does not parse now{error}; its last good revision is used; correct its document",)


def _missing(
    project_id: str, profile_id: str, base: ProfileEntry | None, overlay: ProfileEntry | None
) -> Missing:
    """The gap, with all that it may last have meant.

    After both documents were deleted nobody knows in which order, so the profile with and without its
    overlay both count.
    """
    profile = base.profile if base is not None else None
    over = overlay.profile if overlay is not None else None
    known = [Usable(profile=profile, overlay=over)] if profile is not None or over is not None else []
    if profile is not None and over is not None and _there(overlay) is None:
        known.append(Usable(profile=profile))
    problems = _stale(f"profile {profile_id}", base) + _stale(
        f"overlay of {project_id} for {profile_id}", overlay if _there(overlay) is None else None
    )
    if problems:
        return Missing(reason="invalid", message="; ".join(problems), last_known=tuple(known))
    gone = "was deleted" if known else "does not exist"
    return Missing(
        reason="missing",
        message=f"profile {profile_id} {gone}; restore its document, or correct the reference",
        last_known=tuple(known),
    )
