"""Which profile a task runs under: the task's, its binding's, its project's, or the system default."""

from dataclasses import dataclass, field
from typing import Final, Literal

from orchestrator.domain.catalog import Catalog
from orchestrator.domain.grants import without_servers
from orchestrator.domain.merge import merge
from orchestrator.domain.modes import DEFAULT_HARNESS
from orchestrator.domain.profile import SYSTEM_DEFAULT, EffectiveProfile
from orchestrator.domain.reference import Missing, Refused, Usable, look_up
from orchestrator.domain.widening import widened

Tier = Literal["task", "binding", "project", "system"]

PROFILE_MISSING: Final = "profile_missing"
HARNESS_UNKNOWN: Final = "harness_unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """A reference that was passed over, for the event `attempt.profile_fallback`."""

    profile_id: str
    tier: Tier
    reason: str
    """`missing` or `invalid`."""
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """The profile that governs the task, and which tier chose it."""

    profile_id: str
    tier: Tier
    effective: EffectiveProfile
    warnings: tuple[str, ...] = ()
    fallback: tuple[Skipped, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Nothing may be started; the task is held. `reason` is the hold's, such as `profile_missing`."""

    reason: str
    message: str
    profile_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """What a reference that was passed over last granted; `None` when that can no longer be worked out."""

    profile_id: str
    effective: EffectiveProfile | None


@dataclass(kw_only=True, slots=True)
class _Trail:
    """What was seen on the way down the tiers."""

    warnings: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    known: list[_Known] = field(default_factory=list)


def resolve(catalog: Catalog) -> Resolution | Refusal:
    """Walk the tiers to the first usable reference and merge it. Total: whatever is wrong is in the answer.

    A reference that is missing or was never valid gives way to the next tier, but only to one that grants
    nothing beyond what any reference passed over is known to have granted. One that is refused by those
    who govern profiles never gives way.
    """
    trail = _Trail()
    for tier, profile_id in _references(catalog):
        match look_up(catalog, profile_id):
            case Refused() as refused:
                return Refusal(reason=refused.reason, message=refused.message, profile_id=profile_id)
            case Missing() as missing:
                _pass_over(catalog, missing, profile_id, tier, trail)
            case Usable() as usable:
                trail.warnings += usable.warnings
                answer = _take(catalog, usable, profile_id, tier, trail)
                if answer is not None:
                    return answer
    raise AssertionError("the system default is always there")


def _references(catalog: Catalog) -> list[tuple[Tier, str]]:
    chosen: tuple[tuple[Tier, str | None], ...] = (
        ("task", catalog.task_profile_id),
        ("binding", catalog.binding_profile_id),
        ("project", catalog.project_profile_id),
        ("system", SYSTEM_DEFAULT),
    )
    return [(tier, profile_id) for tier, profile_id in chosen if profile_id is not None]


def _pass_over(catalog: Catalog, missing: Missing, profile_id: str, tier: Tier, trail: _Trail) -> None:
    trail.warnings.append(missing.message)
    trail.skipped.append(
        Skipped(profile_id=profile_id, tier=tier, reason=missing.reason, message=missing.message)
    )
    trail.known += [
        _Known(profile_id=profile_id, effective=_merged(catalog, layers)) for layers in missing.last_known
    ]


def _take(
    catalog: Catalog, usable: Usable, profile_id: str, tier: Tier, trail: _Trail
) -> Resolution | Refusal | None:
    """The answer this reference gives; `None` when it must count as missing after all."""
    effective = _merged(catalog, usable)
    if effective is None:
        return _unknown_harness(catalog, usable, profile_id)
    if usable.lost_base is not None:
        known = _Known(profile_id=profile_id, effective=_merged(catalog, usable.lost_base.last_known[0]))
        if _wider(effective, known):
            _pass_over(catalog, usable.lost_base, profile_id, tier, trail)
            return None
        trail.warnings.append(usable.lost_base.message)
    for known in trail.known:
        if fields := _wider(effective, known):
            return _too_wide(known.profile_id, profile_id, tier, fields)
    trail.warnings += [
        f"{profile_id} allows {tool}, but lists no MCP server that has it"
        for tool in without_servers(effective)
    ]
    return Resolution(
        profile_id=profile_id,
        tier=tier,
        effective=effective,
        warnings=tuple(dict.fromkeys(trail.warnings)),
        fallback=tuple(trail.skipped),
    )


def _harness(layers: Usable) -> str:
    for layer in (layers.overlay, layers.profile):
        if layer is not None and layer.harness is not None:
            return layer.harness
    return DEFAULT_HARNESS


def _merged(catalog: Catalog, layers: Usable) -> EffectiveProfile | None:
    """The layers over the defaults of the harness they choose; `None` when nobody here knows that harness."""
    defaults = catalog.defaults.get(_harness(layers))
    if defaults is None:
        return None
    return merge(defaults, layers.profile, layers.overlay, catalog.ceiling, catalog.project_id)


def _wider(candidate: EffectiveProfile, known: _Known) -> tuple[str, ...]:
    return ("harness",) if known.effective is None else widened(candidate, known.effective)


def _unknown_harness(catalog: Catalog, usable: Usable, profile_id: str) -> Refusal:
    there = ", ".join(sorted(catalog.defaults)) or "none"
    return Refusal(
        reason=HARNESS_UNKNOWN,
        message=f"Profile {profile_id} asks for the harness {_harness(usable)!r}, which this worker "
        f"does not have (it has: {there}); correct `harness` in the profile, or add that harness.",
        profile_id=profile_id,
    )


def _too_wide(missing_id: str, next_id: str, tier: Tier, fields: tuple[str, ...]) -> Refusal:
    return Refusal(
        reason=PROFILE_MISSING,
        message=f"Profile {missing_id} cannot be used, and the next in line, {next_id} ({tier}), "
        f"would grant more than it did ({', '.join(fields)}); restore the profile {missing_id}, or choose "
        "another for the task.",
        profile_id=missing_id,
    )
