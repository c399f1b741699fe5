"""The cascade: every row of its table, and what must hold whatever the vault looks like."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.cascade import Refusal, Resolution, resolve
from orchestrator.domain.catalog import Catalog, Ceiling, ProfileEntry, Standing
from orchestrator.domain.effective import as_json, from_json
from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.grants import grants
from orchestrator.domain.mcp import McpServer
from orchestrator.domain.merge import clamp, merge
from orchestrator.domain.profile import (
    IDENTITY_FIELDS,
    MERGED_FIELDS,
    SYSTEM_DEFAULT,
    UNLIMITED,
    AgentProfile,
    EffectiveProfile,
)
from orchestrator.domain.selection import select_servers
from orchestrator.domain.task import Task, TaskState
from orchestrator.domain.task_limits import limited
from orchestrator.domain.widening import MODE_WIDTH, widened

DEFAULTS = EffectiveProfile(
    profile_id=SYSTEM_DEFAULT,
    harness="claude",
    model="sonnet",
    permission_mode="default",
    allowed_tools=("Read", "Grep", "Bash"),
    denied_tools=(),
    mcp_servers=(),
    system_prompt_suffix="",
    max_tokens_per_task=UNLIMITED,
    max_turns=50,
    max_budget_usd=UNLIMITED,
    timeout_seconds=3600,
    settings={},
    origins={},
)
TOOLS = ("Read", "Bash", "create_task", "mcp__linter__run", "mcp__linter__*", "mcp__agent-queue__*")
CALLS = ("Read", "Bash", "Grep", "mcp__agent-queue__create_task", "mcp__linter__run", "mcp__linter__fix")


def named(profile_id: str = "reviewer", **changes: Any) -> AgentProfile:
    return AgentProfile(id=profile_id, name=profile_id, **changes)


def found(profile_id: str = "reviewer", **changes: Any) -> ProfileEntry:
    return ProfileEntry(profile=named(profile_id, **changes))


def catalog(**changes: Any) -> Catalog:
    basis = Catalog(
        project_id="acme",
        task_profile_id="reviewer",
        project_profile_id=None,
        profiles={},
        defaults={"claude": DEFAULTS},
    )
    return replace(basis, **changes)


def resolved(**changes: Any) -> Resolution:
    answer = resolve(catalog(**changes))
    assert isinstance(answer, Resolution), answer
    return answer


def refused(**changes: Any) -> Refusal:
    answer = resolve(catalog(**changes))
    assert isinstance(answer, Refusal), answer
    return answer


NARROW = ("Read",)

lists = st.none() | st.lists(st.sampled_from(TOOLS), max_size=3, unique=True).map(tuple)
denials = st.none() | st.lists(st.sampled_from((*TOOLS, "*", "mcp__*")), max_size=2, unique=True).map(tuple)
servers = st.none() | st.lists(st.sampled_from(("linter", "agent-queue")), max_size=2, unique=True).map(tuple)
modes = st.none() | st.sampled_from(tuple(MODE_WIDTH))
limits = st.none() | st.integers(1, 100)
identifiers = st.sampled_from(("a", "b", "c", SYSTEM_DEFAULT))
profiles = st.builds(
    AgentProfile,
    id=st.sampled_from(("a", "b")),
    name=st.just("n"),
    harness=st.none() | st.sampled_from(("claude", "codex", "nowhere")),
    model=st.none() | st.sampled_from(("opus", "haiku")),
    permission_mode=modes,
    allowed_tools=lists,
    denied_tools=denials,
    mcp_servers=servers,
    max_turns=limits,
    max_budget_usd=limits,
    settings=st.none() | st.just({"sandbox": {"enabled": [True]}}),
)
ceilings = st.builds(
    Ceiling,
    allowed_tools=lists,
    denied_tools=denials.map(lambda tools: tools or ()),
    mcp_servers=servers,
    permission_modes=st.none() | st.lists(st.sampled_from(tuple(MODE_WIDTH)), max_size=3).map(tuple),
    max_turns=limits,
    timeout_seconds=limits,
)
entries = st.builds(
    ProfileEntry,
    profile=st.none() | profiles,
    present=st.booleans(),
    valid=st.booleans(),
    standing=st.sampled_from([Standing.USABLE] * 6 + list(Standing)),
)
catalogs = st.builds(
    Catalog,
    project_id=st.just("acme"),
    task_profile_id=st.none() | identifiers,
    binding_profile_id=st.none() | identifiers,
    project_profile_id=st.none() | identifiers,
    profiles=st.dictionaries(identifiers, entries, max_size=4),
    overlays=st.dictionaries(identifiers, entries, max_size=3),
    defaults=st.sampled_from(
        ({"claude": DEFAULTS}, {"claude": DEFAULTS, "codex": replace(DEFAULTS, harness="codex")}, {})
    ),
    ceiling=ceilings,
)


def granted(effective: EffectiveProfile) -> set[str]:
    return {call for call in CALLS if grants(effective, call)}


# -- the table ---------------------------------------------------------------------------------------------


def test_an_unset_reference_asks_the_next_tier() -> None:
    known = {name: found(name) for name in ("t", "b", "p")}
    chosen = {"task_profile_id": "t", "binding_profile_id": "b", "project_profile_id": "p"}
    seen = []
    for unset in (None, *chosen):
        if unset is not None:
            chosen[unset] = None  # type: ignore[assignment]
        answer = resolved(profiles=known, **chosen)
        assert answer.fallback == ()
        assert answer.warnings == ()
        seen.append((answer.tier, answer.profile_id))
    assert seen == [("task", "t"), ("binding", "b"), ("project", "p"), ("system", SYSTEM_DEFAULT)]


def test_a_document_that_no_longer_parses_leaves_its_last_good_revision_in_force() -> None:
    entry = replace(found(allowed_tools=NARROW), valid=False, error="line 3")
    answer = resolved(profiles={"reviewer": entry})
    assert (answer.tier, answer.effective.allowed_tools) == ("task", NARROW)
    assert "line 3" in answer.warnings[0]


@pytest.mark.parametrize("entry", [None, ProfileEntry(profile=None, valid=False)])
def test_a_reference_that_never_was_valid_gives_way_with_a_warning(entry: ProfileEntry | None) -> None:
    answer = resolved(profiles={"reviewer": entry} if entry else {})
    assert answer.tier == "system"
    assert [(s.profile_id, s.tier) for s in answer.fallback] == [("reviewer", "task")]
    assert len(answer.warnings) == 1


def test_a_deleted_restrictive_profile_holds_the_task_instead_of_running_wider() -> None:
    refusal = refused(profiles={"reviewer": replace(found(allowed_tools=NARROW), present=False)})
    assert refusal.reason == "profile_missing"
    assert refusal.profile_id == "reviewer"
    assert "allowed_tools" in refusal.message


def test_a_deleted_profile_gives_way_to_one_that_grants_no_more() -> None:
    gone = replace(found(), present=False)
    answer = resolved(
        profiles={"reviewer": gone, "reader": found("reader", allowed_tools=NARROW)},
        project_profile_id="reader",
    )
    assert (answer.tier, answer.profile_id) == ("project", "reader")


@pytest.mark.parametrize("standing", [s for s in Standing if s is not Standing.USABLE])
@pytest.mark.parametrize("where", ["profiles", "overlays"])
def test_a_refused_reference_never_gives_way(standing: Standing, where: str) -> None:
    sources = {"profiles": {"reviewer": found()}, "overlays": {}}
    sources[where] = {"reviewer": replace(found(), standing=standing, present=False)}
    assert refused(**sources).reason == standing.value


def test_even_no_profile_at_all_can_be_refused() -> None:
    builtin = ProfileEntry(profile=None, standing=Standing.DISABLED)
    assert refused(task_profile_id=None, profiles={SYSTEM_DEFAULT: builtin}).reason == "profile_disabled"


def test_a_harness_that_nobody_has_is_a_refusal_that_names_those_there_are() -> None:
    refusal = refused(profiles={"reviewer": found(harness="codex")})
    assert refusal.reason == "harness_unknown"
    assert "claude" in refusal.message


# -- overlays ----------------------------------------------------------------------------------------------


def test_an_overlay_changes_only_the_fields_it_names() -> None:
    answer = resolved(
        profiles={"reviewer": found(model="opus", allowed_tools=NARROW)},
        overlays={"reviewer": found(model="haiku")},
    )
    assert (answer.effective.model, answer.effective.allowed_tools) == ("haiku", NARROW)
    origins = answer.effective.origins
    assert origins["model"] == "overlay of acme"
    assert origins["allowed_tools"] == "profile reviewer"
    assert origins["permission_mode"] == "default of claude"


def test_an_overlay_alone_is_a_profile_of_the_project() -> None:
    assert resolved(overlays={"reviewer": found(model="haiku")}).tier == "task"


def test_an_overlay_whose_profile_was_deleted_does_not_inherit_wider_defaults() -> None:
    refusal = refused(
        profiles={"reviewer": replace(found(allowed_tools=NARROW), present=False)},
        overlays={"reviewer": found(model="haiku")},
    )
    assert refusal.reason == "profile_missing"


def test_an_overlay_that_is_whole_outlives_its_profile() -> None:
    answer = resolved(
        profiles={"reviewer": replace(found(allowed_tools=NARROW), present=False)},
        overlays={"reviewer": found(allowed_tools=NARROW)},
    )
    assert answer.tier == "task"
    assert "deleted" in answer.warnings[0]


def test_a_deleted_overlay_resets_to_the_profile() -> None:
    answer = resolved(
        profiles={"reviewer": found(model="opus")},
        overlays={"reviewer": replace(found(model="haiku"), present=False)},
    )
    assert (answer.effective.model, answer.warnings) == ("opus", ())


@pytest.mark.parametrize(("good", "model"), [(named(model="haiku"), "haiku"), (None, "opus")])
def test_a_broken_overlay_counts_as_far_as_it_ever_was_good(good: AgentProfile | None, model: str) -> None:
    answer = resolved(
        profiles={"reviewer": found(model="opus")},
        overlays={"reviewer": ProfileEntry(profile=good, valid=False)},
    )
    assert answer.effective.model == model
    assert len(answer.warnings) == 1


# -- what always holds -------------------------------------------------------------------------------------


def test_every_field_of_a_profile_is_identity_or_is_merged() -> None:
    assert {f.name for f in fields(AgentProfile)} == {*IDENTITY_FIELDS, *MERGED_FIELDS}
    assert {f.name for f in fields(EffectiveProfile)} == {"profile_id", "origins", *MERGED_FIELDS}


def test_every_merged_field_of_an_overlay_takes_effect() -> None:
    other: dict[str, Any] = {
        "harness": "codex",
        "model": "haiku",
        "permission_mode": "plan",
        "allowed_tools": ("Glob",),
        "denied_tools": ("Write",),
        "mcp_servers": ("linter",),
        "optional_servers": ("linter",),
        "system_prompt_suffix": "Be brief.",
        "max_tokens_per_task": 1,
        "max_turns": 1,
        "max_budget_usd": 1.0,
        "timeout_seconds": 1.0,
        "settings": {"a": 1},
    }
    assert other.keys() == set(MERGED_FIELDS)
    effective = merge(DEFAULTS, named(), named(**other), Ceiling(), "acme")
    assert {field: getattr(effective, field) for field in MERGED_FIELDS} == other
    assert set(effective.origins.values()) == {"overlay of acme"}


@given(catalogs)
@settings(max_examples=300)
def test_resolving_always_answers(anything: Catalog) -> None:
    answer = resolve(anything)
    if isinstance(answer, Resolution):
        assert answer.effective.origins.keys() == set(MERGED_FIELDS)
        assert from_json(json.loads(json.dumps(as_json(answer.effective)))) == answer.effective
    else:
        assert answer.message.strip()


@given(profiles, profiles, ceilings)
def test_a_layer_that_says_inherit_changes_nothing(
    profile: AgentProfile, overlay: AgentProfile, ceiling: Ceiling
) -> None:
    blank = named(profile.id)
    with_blank = merge(DEFAULTS, profile, blank, ceiling, "acme")
    assert with_blank == merge(DEFAULTS, profile, None, ceiling, "acme")
    alone = merge(DEFAULTS, None, overlay, ceiling, "acme")
    assert replace(merge(DEFAULTS, blank, overlay, ceiling, "acme"), profile_id=alone.profile_id) == alone


@given(profiles, profiles, ceilings)
def test_merging_and_clamping_twice_is_merging_once(
    profile: AgentProfile, overlay: AgentProfile, ceiling: Ceiling
) -> None:
    once = merge(DEFAULTS, profile, overlay, ceiling, "acme")
    assert merge(once, profile, overlay, ceiling, "acme") == once
    assert clamp(once, ceiling) == once


@given(profiles, ceilings)
def test_the_ceiling_only_tightens(profile: AgentProfile, ceiling: Ceiling) -> None:
    free = merge(DEFAULTS, profile, None, Ceiling(), "acme")
    assert widened(clamp(free, ceiling), free) == ()
    assert granted(clamp(free, ceiling)) <= granted(free)


@given(profiles, profiles)
def test_what_is_not_wider_grants_no_call_more(one: AgentProfile, other: AgentProfile) -> None:
    candidate, known = (merge(DEFAULTS, p, None, Ceiling(), "acme") for p in (one, other))
    if not widened(candidate, known):
        assert granted(candidate) <= granted(known)


def test_lists_with_nothing_in_common_give_nothing_at_all() -> None:
    effective = merge(DEFAULTS, named(allowed_tools=NARROW), None, Ceiling(allowed_tools=("Bash",)), "acme")
    assert effective.allowed_tools == ()
    assert effective.origins["allowed_tools"] == "profile reviewer, clamped by instance"
    assert granted(effective) == set()


@given(catalogs, profiles)
@settings(max_examples=300)
def test_a_missing_restrictive_profile_never_runs_wider(anything: Catalog, profile: AgentProfile) -> None:
    there = replace(
        anything,
        task_profile_id="z",
        profiles={**anything.profiles, "z": ProfileEntry(profile=profile)},
    )
    gone = replace(there, profiles={**there.profiles, "z": ProfileEntry(profile=profile, present=False)})
    before, after = resolve(there), resolve(gone)
    if isinstance(before, Resolution) and isinstance(after, Resolution):
        assert widened(after.effective, before.effective) == ()
        assert granted(after.effective) <= granted(before.effective)
    elif isinstance(before, Refusal):
        assert isinstance(after, Refusal)


def test_a_task_may_tighten_its_limits_and_never_loosen_them() -> None:
    effective = merge(DEFAULTS, named(timeout_seconds=60), None, Ceiling(), "acme")
    asked = Task(
        id="t1",
        project_id="acme",
        title="A task",
        prompt="Do it.",
        state=TaskState.READY,
        created_at=0,
        updated_at=0,
        timeout_seconds=600,
        max_budget_usd=2,
    )
    tightened = limited(effective, asked)
    assert (tightened.timeout_seconds, tightened.origins["timeout_seconds"]) == (60, "profile reviewer")
    assert (tightened.max_budget_usd, tightened.origins["max_budget_usd"]) == (2, "task")


@pytest.mark.parametrize(
    ("mode", "permitted", "expected"),
    [
        ("bypassPermissions", ("acceptEdits", "default"), "default"),
        ("plan", ("acceptEdits",), "plan"),
        ("acceptEdits", ("acceptEdits", "plan"), "acceptEdits"),
        ("bypassPermissions", (), "plan"),
        ("of-another-harness", ("default",), "default"),
        ("manual", ("default",), "default"),
    ],
)
def test_a_mode_above_what_is_permitted_becomes_the_tightest(
    mode: str, permitted: tuple[str, ...], expected: str
) -> None:
    ceiling = Ceiling(permission_modes=permitted)
    assert merge(DEFAULTS, named(permission_mode=mode), None, ceiling, "acme").permission_mode == expected


def test_a_document_without_a_field_is_refused_by_name() -> None:
    document = as_json(merge(DEFAULTS, None, None, Ceiling(), "acme"))
    assert document["max_budget_usd"] == {"value": "unlimited", "origin": "default of claude"}
    del document["model"]
    with pytest.raises(InvalidInput, match="model"):
        from_json(document)


# -- grants and servers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "denied", "call", "answer"),
    [
        ("Read", (), "Read", True),
        ("Read", (), "Write", False),
        ("Read", (), "mcp__agent-queue__Read", False),
        ("create_task", (), "mcp__agent-queue__create_task", True),
        ("mcp__agent-queue__create_task", (), "create_task", True),
        ("mcp__agent-queue__*", (), "create_task", True),
        ("mcp__agent-queue__*", (), "Read", False),
        ("create_task", ("mcp__agent-queue",), "create_task", False),
        ("mcp__linter__run", (), "mcp__linter__run", True),
        ("mcp__linter", (), "mcp__linter__run", True),
        ("mcp__linter", ("mcp__linter__run",), "mcp__linter__run", False),
        ("mcp__linter__run", (), "mcp__linter__fix", False),
        ("mcp__other__run", (), "mcp__other__run", False),
        ("*", (), "Read", False),
        ("mcp__*", (), "mcp__linter__run", False),
        ("Read", ("*",), "Read", False),
        ("mcp__linter", (), "mcp__linter__*", False),
        ("Agent", (), "Task", True),
    ],
)
def test_a_call_is_granted_by_name_or_by_server_and_denied_first(
    allowed: str, denied: tuple[str, ...], call: str, answer: bool
) -> None:
    profile = named(allowed_tools=(allowed,), denied_tools=denied, mcp_servers=("linter",))
    assert grants(merge(DEFAULTS, profile, None, Ceiling(), "acme"), call) is answer


def test_a_tool_whose_server_is_not_listed_is_a_warning() -> None:
    answer = resolved(profiles={"reviewer": found(allowed_tools=("mcp__linter__run",))})
    assert "mcp__linter__run" in answer.warnings[0]


def served(name: str, project_id: str | None = None) -> McpServer:
    return McpServer(name=name, transport="stdio", command="true", project_id=project_id)


def test_a_projects_server_shadows_the_systems_and_nothing_shadows_our_own() -> None:
    known = catalog(
        system_servers={"linter": served("linter"), "agent-queue": served("agent-queue")},
        project_servers={"linter": served("linter", "acme")},
    )
    selection = select_servers(("linter", "agent-queue", "gone", "linter"), known)
    assert [server.project_id for server in selection.servers] == ["acme"]
    assert selection.missing == ("gone",)
    assert selection.embedded
    assert "agent-queue" in selection.warnings[0]


def test_servers_that_the_agent_could_not_tell_apart_are_not_both_started() -> None:
    names = ("my.server", "my_server", "agent-queue__x")
    selection = select_servers(names, catalog(system_servers={name: served(name) for name in names}))
    assert [server.name for server in selection.servers] == ["my.server"]
    assert selection.missing == ("my_server", "agent-queue__x")


def test_who_lists_the_servers_says_which_are_optional() -> None:
    base = named(mcp_servers=("linter", "docs"), optional_servers=("linter",))
    inherited = merge(DEFAULTS, base, named(), Ceiling(), "acme")
    assert inherited.optional_servers == ("linter",)
    strict = merge(DEFAULTS, base, named(mcp_servers=("linter",)), Ceiling(), "acme")
    assert strict.optional_servers == ()
    assert strict.origins["optional_servers"] == "overlay of acme"


def test_an_effective_profile_that_was_kept_before_there_were_optional_servers_is_read() -> None:
    kept = as_json(merge(DEFAULTS, None, None, Ceiling(), "acme"))
    del kept["optional_servers"]
    assert from_json(kept).optional_servers == ()
