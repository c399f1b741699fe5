"""Why a task waits, and what it ran under."""

import pytest

from orchestrator.commands.effective import ShowEffectiveProfile, show_effective_profile
from orchestrator.commands.explain import explain_task
from orchestrator.commands.projects import CreateProject, create_project
from orchestrator.commands.tasks import CreateTask, NamedTask, create_task
from orchestrator.commands.vault import SyncVault, vault_sync
from orchestrator.domain.lack import CHECKOUT_UNUSABLE, lack
from orchestrator.domain.outcome import AuthenticationFailed
from orchestrator.domain.project import CheckoutKind
from orchestrator.store import queue, workers


@pytest.fixture(autouse=True)
def acme(bench) -> None:
    bench.do(create_project, CreateProject(id="acme", default_profile_id="reviewer"))


def explain(bench, **fields):
    task_id = bench.do(create_task, CreateTask(prompt="x", **fields)).created
    return bench.do(explain_task, NamedTask(task_id=task_id))


def test_a_waiting_task_says_what_it_waits_for_and_what_it_would_run_under(bench) -> None:
    found = explain(bench)
    assert [reason.code for reason in found.reasons] == ["no_worker", "queue"]
    assert found.summary == found.reasons[0].message
    assert found.would_run_under.profile_id == "reviewer"
    assert found.would_run_under.tier == "project"
    tools = found.would_run_under.effective["allowed_tools"]
    assert tools == {"value": ["Read", "Grep"], "origin": "profile reviewer"}
    assert found.ran_under is None


def test_the_queue_counts_those_that_go_before(bench) -> None:
    explain(bench, priority=1)
    assert explain(bench).reasons[-1].message == "It is number 2 in the queue of project acme."


def test_a_profile_that_has_gone_holds_the_task_rather_than_widen_it(bench) -> None:
    task_id = bench.do(create_task, CreateTask(prompt="x")).created
    (bench.vault / "README.md").write_text("moved", encoding="utf-8")
    (bench.vault / "agent-types" / "reviewer" / "profile.md").unlink()
    bench.do(vault_sync, SyncVault())
    found = bench.do(explain_task, NamedTask(task_id=task_id))
    assert found.refusal.code == "profile_missing"
    assert found.reasons[0] == found.refusal
    assert found.would_run_under is None


def test_a_task_that_ran_shows_the_snapshot_of_its_attempt(bench) -> None:
    task_id = bench.do(create_task, CreateTask(prompt="x")).created
    bench.end(bench.begin(task_id))
    found = bench.do(explain_task, NamedTask(task_id=task_id))
    assert found.summary == "It has ended: COMPLETED. done"
    assert (found.ran_under.attempt, found.ran_under.profile_id) == (1, "reviewer")
    assert found.would_run_under is None


def test_the_preview_of_a_profile_is_what_the_task_would_run_under(bench) -> None:
    shown = bench.do(show_effective_profile, ShowEffectiveProfile(agent_type="reviewer"))
    assert (shown.project_id, shown.source) == ("acme", "global")
    under = explain(bench, profile_id="reviewer").would_run_under.effective
    assert {"profile_id": "reviewer", **shown.fields} == under
    assert shown.profile["allowed_tools"] == ["Read", "Grep"]


def test_an_overlay_of_the_project_is_its_source(bench) -> None:
    overlay = bench.vault / "projects" / "acme" / "agent-types" / "reviewer" / "profile.md"
    overlay.parent.mkdir(parents=True)
    overlay.write_text('---\nid: reviewer\n---\n## Config\n```json\n{"max_turns": 3}\n```\n')
    bench.do(vault_sync, SyncVault())
    shown = bench.do(show_effective_profile, ShowEffectiveProfile(agent_type="reviewer", project_id="acme"))
    assert shown.source == "project"
    assert shown.fields["max_turns"]["value"] == 3


def test_a_profile_that_nobody_has_is_null(bench) -> None:
    shown = bench.do(show_effective_profile, ShowEffectiveProfile(agent_type="nobody", project_id="acme"))
    assert (shown.profile, shown.source, shown.fields) == (None, None, {})


def test_the_preview_has_the_tasks_own_limits_as_its_launch_will(bench) -> None:
    found = explain(bench, profile_id="reviewer", timeout_seconds=60.0)
    assert found.would_run_under.effective["timeout_seconds"] == {"value": 60.0, "origin": "task"}


def test_a_task_that_waits_with_one_whose_credentials_were_refused_says_so(bench) -> None:
    refused = bench.do(create_task, CreateTask(prompt="x")).created
    bench.end(bench.begin(refused), AuthenticationFailed(message="Set a valid ANTHROPIC_API_KEY."))
    first = explain(bench).reasons[0]
    assert (first.code, first.needs_person) == ("provider_refused", True)
    assert first.message.startswith(f"Set a valid ANTHROPIC_API_KEY. That was task {refused};")
    assert explain(bench, run_at=bench.now + 60).reasons[0].code == "provider_refused"


def test_only_slots_that_a_task_could_have_are_counted(bench) -> None:
    """Not those of a worker that drains, lacks a label or said that it has no such repository."""
    bench.do(
        create_project,
        CreateProject(id="shop", repository="/srv/shop", checkout=CheckoutKind.WORKTREE, requires=("eu",)),
    )
    waiting = bench.do(create_task, CreateTask(project_id="shop", prompt="p")).created
    lacks = {lack(CHECKOUT_UNUSABLE, "/srv/shop"): None}
    there = {
        "able": {"labels": ("eu",), "slots": 1},
        "drains": {"labels": ("eu",), "draining": True},
        "unlabelled": {},
        "without": {"labels": ("eu",), "lacks": lacks},
    }
    for name, fields in there.items():
        shown = {"host": name, "pid": 1, "version": "1", "slots": 7, "started_at": 1.0, "seen_at": bench.now}
        bench.use.database.run_sync(workers.register, workers.Worker(id=name, **{**shown, **fields}))
    other = bench.do(create_task, CreateTask(project_id="shop", prompt="p")).created
    claimed = {"worker": "able", "now": bench.now, "lease_seconds": 30.0}
    assert bench.use.database.run_sync(queue.claim, [other], **claimed)
    found = bench.do(explain_task, NamedTask(task_id=waiting)).reasons
    assert "All 1 slots of the workers that may take it are taken." in [one.message for one in found]
