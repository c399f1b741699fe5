"""Commands that check and install what a profile needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.commands import checks
from orchestrator.commands import profile_documents as documents
from orchestrator.commands.encoding import OPTIONAL
from orchestrator.commands.use import Use
from orchestrator.domain.manifest import InstallManifest
from orchestrator.install.manifest import Packages
from orchestrator.store import profiles


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckProfile:
    profile_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileChecked:
    profile_id: str
    valid: bool
    issues: tuple[str, ...]
    manifest: Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallProfile:
    profile_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileInstalled:
    """Items are `npm:x`, `pip:x` and `cmd:x`."""

    profile_id: str
    installed: tuple[str, ...]
    already_present: tuple[str, ...]
    manual: tuple[str, ...]
    """Left for a person: commands that are missing, and packages that could not be installed."""
    ready: bool
    issues: tuple[str, ...] = field(default=(), metadata=OPTIONAL)


async def check_profile(use: Use, request: CheckProfile) -> ProfileChecked:
    """Say whether what a profile needs is installed."""
    manifest = await _manifest(use, request.profile_id)
    found = await packages(use).check(manifest)
    return ProfileChecked(
        profile_id=request.profile_id,
        valid=not found.issues,
        issues=found.issues,
        manifest=manifest.to_dict(),
    )


async def install_profile(use: Use, request: InstallProfile) -> ProfileInstalled:
    """Install the packages a profile needs where every attempt finds them."""
    done = await packages(use).install(await _manifest(use, request.profile_id))
    return ProfileInstalled(
        profile_id=request.profile_id,
        installed=done.installed,
        already_present=done.already_present,
        manual=done.manual,
        ready=done.ready,
        issues=done.issues,
    )


def packages(use: Use) -> Packages:
    return Packages(use.host.home, seconds=use.host.install_seconds)


async def _manifest(use: Use, profile_id: str) -> InstallManifest:
    address = documents.address_of(checks.check_id(profile_id, "profile_id"))
    profile = await use.database.read(profiles.get_profile, address.id)
    if profile is None:
        raise documents.missing(address)
    return profile.install
