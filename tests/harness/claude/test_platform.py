"""Which adapter and which configuration a profile gets."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.errors import StartRefused
from orchestrator.domain.modes import modes_of
from orchestrator.domain.profile import MERGED_FIELDS, SYSTEM_DEFAULT
from orchestrator.domain.tools import BUILTIN_NAMES
from orchestrator.harness.claude.adapter import ClaudeAdapter
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS, ClaudeAdapterConfig
from orchestrator.harness.claude.settings import flags, problems
from orchestrator.harness.platform import PlatformRegistry


def test_a_profile_takes_nothing_of_the_operators_and_all_of_its_own() -> None:
    base = ClaudeAdapterConfig(cli_path="/opt/claude", base_url="http://127.0.0.1:1", sandboxed=True)
    effective = replace(CLAUDE_DEFAULTS, profile_id="reviewer", model="m", allowed_tools=())
    config = PlatformRegistry._config_for_profile(effective, base)
    assert config.effective is effective
    rest = [field.name for field in fields(base) if field.name != "effective"]
    assert all(getattr(config, name) == getattr(base, name) for name in rest)


def test_an_unknown_harness_is_a_clear_error() -> None:
    registry = PlatformRegistry(adapter=ClaudeAdapter())
    assert registry.adapter_for("claude") is registry.adapter
    for ask in (
        registry.adapter_for,
        lambda name: registry.config_for(replace(CLAUDE_DEFAULTS, harness=name)),
    ):
        with pytest.raises(StartRefused, match=r"codex.*claude"):
            ask("codex")


def test_what_the_installation_sets_is_what_profiles_inherit() -> None:
    changed = replace(CLAUDE_DEFAULTS, model="claude-of-this-house")
    registry = PlatformRegistry(base=ClaudeAdapterConfig(effective=changed), adapter=ClaudeAdapter())
    assert registry.defaults["claude"] is changed


def test_the_defaults_are_complete_and_say_where_they_come_from() -> None:
    defaults = PlatformRegistry(adapter=ClaudeAdapter()).defaults["claude"]
    assert defaults.profile_id == SYSTEM_DEFAULT
    assert set(defaults.origins) == set(MERGED_FIELDS)
    assert set(defaults.origins.values()) == {"default of claude"}
    assert set(defaults.allowed_tools) <= BUILTIN_NAMES
    assert defaults.permission_mode in (modes_of("claude") or ())
    assert "-" in defaults.model, "a full name: aliases mean another model in each version"


@given(
    st.dictionaries(st.sampled_from(["effort", "fallback_model", "hooks", "env", "permissions"]), st.text())
)
def test_settings_are_flags_or_problems(settings: dict[str, str]) -> None:
    if problems(settings):
        return
    assert len(flags(settings)) == len(settings)
    assert set(settings) <= {"effort", "fallback_model"}
