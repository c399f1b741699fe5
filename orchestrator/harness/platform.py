"""Which adapter launches which harness, with which configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from orchestrator.domain.errors import StartRefused
from orchestrator.domain.profile import EffectiveProfile
from orchestrator.harness.claude.adapter import ClaudeAdapter
from orchestrator.harness.claude.config import HARNESS, ClaudeAdapterConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformRegistry:
    """The harnesses that this installation can run: an adapter and the operator's base configuration each."""

    base: ClaudeAdapterConfig = field(default_factory=ClaudeAdapterConfig)
    adapter: ClaudeAdapter = field(default_factory=ClaudeAdapter)

    @property
    def harnesses(self) -> tuple[str, ...]:
        return (HARNESS,)

    @property
    def defaults(self) -> Mapping[str, EffectiveProfile]:
        """One complete profile per harness, this installation's settings included, for `Catalog.defaults`."""
        return {HARNESS: self.base.effective}

    def adapter_for(self, harness: str) -> ClaudeAdapter:
        """Raises StartRefused for a harness that is not there."""
        self._known(harness)
        return self.adapter

    def config_for(self, effective: EffectiveProfile) -> ClaudeAdapterConfig:
        """The launch configuration for a profile: what the attempt keeps is what is launched.
        Raises StartRefused for a harness that is not there."""
        self._known(effective.harness)
        return self._config_for_profile(effective, self.base)

    @staticmethod
    def _config_for_profile(effective: EffectiveProfile, base: ClaudeAdapterConfig) -> ClaudeAdapterConfig:
        """Lay the profile over the base; everything that is the operator's stays."""
        return replace(base, effective=effective)

    def _known(self, harness: str) -> None:
        if harness not in self.harnesses:
            raise StartRefused(
                f"No adapter for the harness {harness!r}; this version runs: {', '.join(self.harnesses)}. "
                "Correct `harness` in the profile."
            )
