"""The cascade's tiers, the overlay and each way a reference can be broken, through a real attempt."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from orchestrator.domain import cascade
from orchestrator.domain.catalog import Ceiling
from orchestrator.domain.effective import as_json
from orchestrator.domain.profile import SYSTEM_DEFAULT
from orchestrator.domain.task import TaskState
from orchestrator.store import profiles, projects, tasks
from orchestrator.store.database import Transaction

S = TaskState


def launched(path: Path) -> Mapping[str, Any]:
    """How the agent says that it was started."""
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def tools_of(facts: Mapping[str, Any]) -> set[str]:
    (found,) = [word.removeprefix("--tools=") for word in facts["argv"] if word.startswith("--tools=")]
    return {name for name in found.split(",") if name}


def profile_of(lab, task_id: str, *fields: str) -> tuple[Any, ...]:
    """The profile, the tier and values of the snapshot that the first attempt kept."""
    snapshot = lab.attempts(task_id)[0].snapshot
    assert snapshot is not None
    return snapshot.profile_id, snapshot.tier, *(snapshot.effective[name]["value"] for name in fields)


def preview(lab, task_id: str) -> Any:
    def read(tx: Transaction) -> Any:
        task = tasks.get(tx, task_id)
        assert task is not None
        catalog = profiles.catalog_for(tx, task, defaults=lab.registry.defaults, ceiling=Ceiling())
        return as_json(cascade.resolve(catalog).effective)

    return lab.database.read_sync(read)


def set_default(lab, profile_id: str) -> None:
    def write(tx: Transaction) -> None:
        project = projects.get(tx, "acme")
        assert project is not None
        projects.update(tx, replace(project, default_profile_id=profile_id))

    lab.database.run_sync(write)


def test_without_any_profile_the_system_default_governs(lab) -> None:
    task_id = lab.ask("result=fine")
    (task,) = lab.settle(task_id)
    assert (task.state, task.result) == (S.COMPLETED, "fine")
    assert profile_of(lab, task_id) == (SYSTEM_DEFAULT, "system")


def test_the_projects_default_comes_before_the_system(lab, tmp_path) -> None:
    lab.write_profile("reviewer", allowed=["Read", "Grep"])
    lab.project()
    set_default(lab, "reviewer")
    task_id = lab.ask(f"dump={tmp_path / 'seen'}")
    lab.settle(task_id)
    assert profile_of(lab, task_id, "allowed_tools") == ("reviewer", "project", ["Read", "Grep"])
    assert tools_of(launched(tmp_path / "seen")) == {"Read", "Grep"}


def test_the_tasks_own_profile_comes_before_the_projects(lab, tmp_path) -> None:
    lab.write_profile("reviewer", allowed=["Read"])
    lab.write_profile("tester", allowed=["Read", "Bash"], role="You test.")
    lab.project()
    set_default(lab, "reviewer")
    task_id = lab.ask(f"dump={tmp_path / 'seen'}", profile_id="tester")
    lab.settle(task_id)
    assert profile_of(lab, task_id, "allowed_tools") == ("tester", "task", ["Read", "Bash"])
    assert tools_of(launched(tmp_path / "seen")) == {"Read", "Bash"}


def test_an_overlay_changes_only_what_it_names(lab, tmp_path) -> None:
    lab.write_profile("reviewer", allowed=["Read", "Grep"], config={"model": "claude-a-1", "max_turns": 7})
    lab.project()
    lab.write_profile("reviewer", project="acme", config={"model": "claude-b-2"})
    task_id = lab.ask(f"dump={tmp_path / 'seen'}", profile_id="reviewer")
    lab.settle(task_id)
    snapshot = lab.attempts(task_id)[0].snapshot
    assert profile_of(lab, task_id, "model", "max_turns") == ("reviewer", "task", "claude-b-2", 7)
    assert "acme" in snapshot.effective["model"]["origin"]
    assert "--model=claude-b-2" in launched(tmp_path / "seen")["argv"]
    assert tools_of(launched(tmp_path / "seen")) == {"Read", "Grep"}


def test_the_snapshot_is_the_document_that_the_preview_prints(lab) -> None:
    lab.write_profile("reviewer", allowed=["Read"], role="You review.", config={"max_turns": 3})
    task_id = lab.ask(profile_id="reviewer")
    shown = preview(lab, task_id)
    lab.settle(task_id)
    assert lab.attempts(task_id)[0].snapshot.effective == shown


def test_the_profile_applied_is_logged_and_recorded_once(sqlite_lab) -> None:
    lab = sqlite_lab
    lab.write_profile("reviewer", allowed=["Read", "Grep"])
    task_id = lab.ask(profile_id="reviewer")
    with capture_logs(processors=[_merge]) as lines:
        lab.settle(task_id)
    (line,) = [line for line in lines if line["event"] == "profile.applied"]
    assert (line["profile"], line["tier"], line["tools"], line["mcp_servers"]) == (
        "reviewer",
        "task",
        ["Read", "Grep"],
        [],
    )
    assert (line["task_id"], line["attempt"], line["project_id"]) == (task_id, 1, "acme")
    (event,) = lab.events(task_id, "profile.applied")
    assert event.data == {
        "attempt": 1,
        "profile": "reviewer",
        "tier": "task",
        "tools": ["Read", "Grep"],
        "mcp_servers": [],
    }


def _merge(logger: Any, name: str, line: Any) -> Any:
    from structlog.contextvars import merge_contextvars  # noqa: PLC0415 - the processor under test's own

    return merge_contextvars(logger, name, line)


def test_a_document_that_no_longer_parses_keeps_its_last_good_revision_with_a_warning(lab) -> None:
    lab.write_profile("reviewer", allowed=["Read"])
    lab.write_profile("reviewer", text="---\nid: reviewer\n---\n\n## Tools\n```json\n{broken\n```\n")
    task_id = lab.ask(profile_id="reviewer")
    (task,) = lab.settle(task_id)
    assert task.state is S.COMPLETED
    assert profile_of(lab, task_id, "allowed_tools") == ("reviewer", "task", ["Read"])
    assert any("last good revision" in one for one in lab.attempts(task_id)[0].snapshot.warnings)


def test_a_missing_profile_gives_way_to_one_that_grants_no_more_and_says_so(lab) -> None:
    wide = ["Read", "Grep", "Glob", "Edit", "Write", "Bash"]
    path = lab.write_profile("builder", allowed=wide, config={"permission_mode": "dontAsk"})
    lab.write_profile("reviewer", allowed=["Read"])
    lab.project()
    set_default(lab, "reviewer")
    task_id = lab.ask(profile_id="builder")
    path.unlink()
    lab.sync()
    (task,) = lab.settle(task_id)
    assert task.state is S.COMPLETED
    assert profile_of(lab, task_id) == ("reviewer", "project")
    (event,) = lab.events(task_id, "attempt.profile_fallback")
    assert (event.data["profile"], event.data["reason"], event.data["used"]) == (
        "builder",
        "missing",
        "reviewer",
    )
    assert lab.attempts(task_id)[0].snapshot.warnings


def test_a_missing_restrictive_profile_never_runs_wider(lab) -> None:
    path = lab.write_profile("reader", allowed=["Read"])
    task_id = lab.ask(profile_id="reader")
    path.unlink()
    lab.sync()
    (task,) = lab.settle(task_id)
    assert (task.state, task.hold, task.attempt) == (S.READY, "profile_missing", 0)
    assert lab.attempts(task_id) == []


STANDINGS = {
    "profile_disabled": "disabled_at = 1",
    "profile_pending": "requested_by = 'someone', approved_at = NULL",
    "profile_archived": "archived_at = 1",
    "profile_not_bound": "owner = 'someone'",
}


@pytest.mark.parametrize("reason", STANDINGS)
def test_a_refused_profile_holds_the_task_and_no_other_tier_is_tried(lab, reason) -> None:
    lab.write_profile("reviewer", allowed=["Read"])
    task_id = lab.ask(profile_id="reviewer")
    change = text(f"UPDATE agent_profiles SET {STANDINGS[reason]} WHERE id = 'reviewer'")
    lab.database.run_sync(lambda tx: tx.execute(change) and None)
    (task,) = lab.settle(task_id)
    assert (task.state, task.hold, task.failures) == (S.READY, reason, 0)
    assert task.hold_until is not None
    assert task.hold_until > time.time()
    assert "reviewer" in (task.hold_message or "")
    assert lab.attempts(task_id) == []


def test_a_held_task_goes_on_when_what_held_it_is_corrected(sqlite_lab) -> None:
    lab = sqlite_lab
    lab.write_profile("reviewer", allowed=["Read"])
    task_id = lab.ask(profile_id="reviewer")
    lab.database.run_sync(lambda tx: tx.execute(text("UPDATE agent_profiles SET disabled_at = 1")) and None)
    lab.settle(task_id)
    lab.database.run_sync(
        lambda tx: tx.execute(text("UPDATE agent_profiles SET disabled_at = NULL")) and None
    )
    lab.database.run_sync(tasks.reconsider)
    (task,) = lab.settle(task_id)
    assert task.state is S.COMPLETED


def test_a_profile_with_an_undefined_server_holds_the_task(sqlite_lab) -> None:
    sqlite_lab.write_profile("reviewer", allowed=["Read"], servers=["linear"])
    (task,) = sqlite_lab.settle(sqlite_lab.ask(profile_id="reviewer"))
    assert (task.hold, task.state) == ("server_undefined", S.READY)
    assert "linear" in (task.hold_message or "")


def test_a_task_that_its_profile_held_goes_on_as_soon_as_the_vault_allows(sqlite_lab) -> None:
    lab = sqlite_lab
    lab.write_profile("reviewer", allowed=["Read"], servers=["linear"])
    task_id = lab.ask(profile_id="reviewer")
    assert lab.settle(task_id)[0].hold == "server_undefined"
    lab.write_profile("reviewer", allowed=["Read"])
    assert lab.settle(task_id)[0].state is S.COMPLETED


def test_a_harness_that_is_not_here_holds_the_task(sqlite_lab) -> None:
    path = sqlite_lab.write_profile("reviewer", text="---\nid: reviewer\nharness: codex\n---\n")
    assert path.exists()
    task_id = sqlite_lab.ask(profile_id="reviewer")
    (task,) = sqlite_lab.settle(task_id)
    assert task.state is S.READY
    assert task.hold in ("harness_missing", "harness_unknown")


def test_the_tasks_own_limits_tighten_and_never_widen(sqlite_lab) -> None:
    lab = sqlite_lab
    lab.write_profile("reviewer", config={"max_budget_usd": 2, "timeout_seconds": 100})
    task_id = lab.ask(profile_id="reviewer", max_budget_usd=0.5, timeout_seconds=900)
    lab.settle(task_id)
    snapshot = lab.attempts(task_id)[0].snapshot
    assert snapshot.effective["max_budget_usd"] == {"value": 0.5, "origin": "task"}
    assert snapshot.effective["timeout_seconds"]["value"] == 100


def test_role_instructions_reach_the_agent_in_a_file_of_its_own(sqlite_lab, tmp_path) -> None:
    sqlite_lab.write_profile("reviewer", role="You review and touch nothing.")
    sqlite_lab.settle(sqlite_lab.ask(f"dump={tmp_path / 'seen'}", profile_id="reviewer"))
    files = [
        Path(word.partition("=")[2])
        for word in launched(tmp_path / "seen")["argv"]
        if word.startswith("--append-system-prompt-file=")
    ]
    (content,) = [path.read_text(encoding="utf-8") for path in files]
    assert "Agent Role Instructions" in content
    assert "You review and touch nothing." in content


def test_what_the_agent_says_is_stored_in_order_and_nothing_is_lost(lab) -> None:
    task_id = lab.ask("say=one;lines=700;say=two;result=the end;cost=0.25")
    (task,) = lab.settle(task_id)
    assert task.result == "the end"
    stored = lab.database.read_sync(_all_messages, task_id)
    assert [message.sequence for message in stored] == list(range(1, len(stored) + 1))
    said = [json.dumps(message.body) for message in stored if message.kind == "text"]
    assert len(said) == 2
    assert len(stored) > 700
    (attempt,) = lab.attempts(task_id)
    assert (attempt.outcome, attempt.usage.cost_usd) == ("completed", 0.25)
    assert attempt.enforcement


def _all_messages(tx: Transaction, task_id: str) -> Any:
    from orchestrator.store import attempts  # noqa: PLC0415 - beside its only use

    return attempts.messages(tx, task_id, 1, after=-1, limit=100_000)
