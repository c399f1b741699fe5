"""Whether one effective profile would let an agent do more than another."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from orchestrator.domain.effective import LIMITS
from orchestrator.domain.grants import covers, denies, overlaps
from orchestrator.domain.modes import canonical_mode
from orchestrator.domain.profile import EffectiveProfile

MODE_WIDTH: Final[Mapping[str, int]] = MappingProxyType(
    {"plan": 0, "default": 1, "dontAsk": 1, "acceptEdits": 2, "auto": 3, "bypassPermissions": 4}
)
"""How much Claude Code does in each mode without being granted it, measured with the supported versions.
`default` and `dontAsk` let the same calls through when nobody is there to ask. `auto` lets a classifier
decide, so it stands above `acceptEdits`. A mode that is not here compares with itself only."""

NARROWEST_MODE: Final = "plan"


def mode_is_wider(mode: str, than: str) -> bool:
    """Whether a mode may let more through than another; modes that cannot be compared count as wider."""
    mode, than = canonical_mode(mode), canonical_mode(than)
    if mode == than:
        return False
    return mode not in MODE_WIDTH or than not in MODE_WIDTH or MODE_WIDTH[mode] > MODE_WIDTH[than]


def tightest_mode(mode: str, permitted: tuple[str, ...] | None) -> str:
    """The mode itself where it is permitted or narrower than all that is, else the tightest permitted one.

    No mode permitted at all gives the narrowest there is.
    """
    if permitted is None:
        return mode
    known = [canonical_mode(name) for name in permitted]
    if mode in known:
        return mode
    comparable = [name for name in known if name in MODE_WIDTH]
    if mode in MODE_WIDTH and comparable and all(MODE_WIDTH[mode] < MODE_WIDTH[name] for name in comparable):
        return mode
    return min(comparable or known[:1], key=lambda name: MODE_WIDTH.get(name, 0), default=NARROWEST_MODE)


def widened(candidate: EffectiveProfile, known: EffectiveProfile) -> tuple[str, ...]:
    """The fields in which the candidate grants anything that the known profile does not.

    A denial that the candidate lacks widens only where the candidate allows some of what it took away.
    Settings mean what their harness says, so any difference in them counts. Model and instructions are not
    grants.
    """
    fields = []
    if candidate.harness != known.harness:
        fields.append("harness")
    if mode_is_wider(candidate.permission_mode, known.permission_mode):
        fields.append("permission_mode")
    if not all(any(covers(mine, rule) for mine in known.allowed_tools) for rule in candidate.allowed_tools):
        fields.append("allowed_tools")
    if any(_loosened(denied, candidate) for denied in known.denied_tools):
        fields.append("denied_tools")
    if not set(candidate.mcp_servers) <= set(known.mcp_servers):
        fields.append("mcp_servers")
    fields += [limit for limit in LIMITS if getattr(candidate, limit) > getattr(known, limit)]
    if candidate.settings != known.settings:
        fields.append("settings")
    return tuple(fields)


def _loosened(denied: str, candidate: EffectiveProfile) -> bool:
    """Whether the candidate grants some of what this rule denied."""
    if any(denies(rule, denied) for rule in candidate.denied_tools):
        return False
    return any(overlaps(denied, allowed) for allowed in candidate.allowed_tools)
