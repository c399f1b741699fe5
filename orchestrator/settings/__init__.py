"""Settings: every key and its meaning (`schema`), and where each value came from (`sources`)."""

from orchestrator.settings.schema import Settings
from orchestrator.settings.sources import Loaded, load

__all__ = ["Loaded", "Settings", "load"]
