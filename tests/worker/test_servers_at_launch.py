"""MCP servers and their secrets at the moment of launch, through a real attempt."""

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from orchestrator.commands import wire
from orchestrator.commands.encoding import encode
from orchestrator.commands.surface import BY_NAME
from orchestrator.commands.use import Host, Use
from orchestrator.domain.attempt import Attempt
from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.task import TaskState
from orchestrator.harness.claude.config import CREDENTIALS
from orchestrator.settings.secrets import Secrets
from orchestrator.store import tasks
from orchestrator.vault.sync import VaultSync
from orchestrator.vault.watch import keep_in_step

S = TaskState
TOKEN = "canary-token-of-the-linter"
HEADER = "canary-header-of-the-archive"
KEY = "canary-key-of-the-model"


def define(lab, name: str, text: str) -> None:
    path = lab.vault / "mcp-servers" / f"{name}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"---\n{text}\n---\n", encoding="utf-8")
    lab.sync()


def optional(name: str) -> dict[str, Any]:
    return {"name": name, "optional": True}


def warnings_of(attempt: Attempt) -> tuple[str, ...]:
    assert attempt.snapshot is not None
    return attempt.snapshot.warnings


def servers_in(dump: Path) -> Mapping[str, Any]:
    """What the agent was told of its servers."""
    return json.loads(dump.read_text())["servers"]  # type: ignore[no-any-return]  # as dumped


def test_a_required_server_that_does_not_start_ends_the_attempt_with_its_own_error(sqlite_lab) -> None:
    lab = sqlite_lab
    define(lab, "linter", "command: npx\nenv: {FAKE_FAULT: 'no licence found'}")
    lab.write_profile("reviewer", allowed=["Read"], servers=["linter"])
    task_id = lab.ask("say=never", profile_id="reviewer")
    lab.settle(task_id)
    (attempt,) = lab.attempts(task_id)
    assert attempt.outcome == "server_missing"
    assert "linter (failed: no licence found)" in (attempt.message or "")
    assert "never" not in str(lab.messages(task_id))


def test_an_optional_server_that_does_not_start_is_a_warning(sqlite_lab) -> None:
    lab = sqlite_lab
    define(lab, "linter", "command: npx\nenv: {FAKE_FAULT: 'no licence found'}")
    lab.write_profile("reviewer", allowed=["Read"], servers=[optional("linter")])
    task_id = lab.ask(profile_id="reviewer")
    assert lab.settle(task_id)[0].state is S.COMPLETED
    (attempt,) = lab.attempts(task_id)
    assert any("optional" in text and "no licence found" in text for text in warnings_of(attempt))


def test_a_required_secret_that_is_missing_is_named_and_nothing_is_started(sqlite_lab) -> None:
    lab = sqlite_lab
    define(lab, "linter", "command: npx\nenv: {TOKEN: '${LINT_TOKEN}'}")
    lab.write_profile("reviewer", allowed=["Read"], servers=["linter"])
    task_id = lab.ask(profile_id="reviewer")
    (task,) = lab.settle(task_id)
    (attempt,) = lab.attempts(task_id)
    assert (task.hold, task.failures, attempt.outcome) == ("secret_missing", 0, "held")
    assert "refers to ${LINT_TOKEN}, and there is no secret of that name" in (task.hold_message or "")
    assert not lab.events(task_id, "attempt.started")


def test_a_secret_that_was_missing_is_waited_for_without_attempts_and_its_coming_is_noticed(
    lab, tmp_path: Path
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    source = Secrets(given={}, directory=secrets, environment={}, credentials=CREDENTIALS)
    define(lab, "linter", "command: npx\nenv: {TOKEN: '${LINT_TOKEN}'}")
    lab.write_profile("reviewer", allowed=["Read"], servers=["linter"])
    first = lab.ask(profile_id="reviewer")

    async def work() -> None:
        async with lab.working(secrets=source, recheck_seconds=0.1, poll_seconds=0.1):
            await lab.until(lambda: lab.task(first).hold == "secret_missing")
            others = [lab.ask(profile_id="reviewer") for _ in range(3)]
            await lab.until(lambda: all(lab.task(one).hold == "secret_missing" for one in others))
            lab.database.run_sync(tasks.reconsider)
            await lab.until(lambda: all(lab.task(one).hold == "secret_missing" for one in (first, *others)))
            assert "${LINT_TOKEN}" in (lab.task(others[0]).hold_message or "")
            assert [len(lab.attempts(one)) for one in (first, *others)] == [1, 0, 0, 0]
            (secrets / "LINT_TOKEN").write_text("here\n")
            await lab.until(lambda: all(lab.task(one).state is S.COMPLETED for one in (first, *others)))

    asyncio.run(work())


def test_optional_servers_without_a_definition_or_a_secret_are_left_out(sqlite_lab, tmp_path: Path) -> None:
    lab = sqlite_lab
    define(lab, "linter", "command: npx\nenv: {TOKEN: '${LINT_TOKEN}'}")
    define(lab, "there", "command: npx")
    lab.write_profile("reviewer", allowed=["Read"], servers=[optional("linter"), optional("nobody"), "there"])
    task_id = lab.ask(f"dump={tmp_path}/seen", profile_id="reviewer")
    assert lab.settle(task_id)[0].state is S.COMPLETED
    (attempt,) = lab.attempts(task_id)
    assert attempt.snapshot is not None
    assert attempt.snapshot.servers == ("there",)
    assert any("LINT_TOKEN" in text for text in warnings_of(attempt))
    assert any("nobody" in text for text in warnings_of(attempt))
    assert servers_in(tmp_path / "seen").keys() == {"there"}


def test_an_attempt_gets_the_secrets_its_servers_ask_for_as_they_are_then(sqlite_lab, tmp_path: Path) -> None:
    lab = sqlite_lab
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "LINT_TOKEN").write_text("first\n")
    source = Secrets(given={}, directory=secrets, environment={}, credentials=CREDENTIALS)
    define(lab, "linter", "command: npx\nenv: {TOKEN: 'x-${LINT_TOKEN}'}")
    lab.write_profile("reviewer", allowed=["Read"], servers=["linter"])
    for value in ("first", "second"):
        (secrets / "LINT_TOKEN").write_text(f"{value}\n")
        task_id = lab.ask(f"dump={tmp_path}/{value}", profile_id="reviewer")
        assert lab.settle(task_id, secrets=source)[0].state is S.COMPLETED
        assert servers_in(tmp_path / value)["linter"]["env"]["TOKEN"] == f"x-{value}"


def test_a_held_task_starts_as_soon_as_what_it_lacked_is_back(sqlite_lab) -> None:
    """With the vault watched beside the worker, as it is in the application."""
    lab = sqlite_lab
    path = lab.write_profile("reviewer", allowed=["Read"], servers=["linter"])
    task_id = lab.ask(profile_id="reviewer")
    sync = VaultSync(database=lab.database, root=lab.vault)

    async def restore() -> None:
        keeping = asyncio.create_task(keep_in_step(sync.run_once, lab.vault, scan_seconds=60.0))
        # So slow a poll that only what the watch brings can have started it.
        async with lab.working(poll_seconds=60.0, recheck_seconds=600.0):
            await lab.until(lambda: lab.task(task_id).hold is not None)
            assert lab.task(task_id).hold == "server_undefined"
            servers = lab.vault / "mcp-servers"
            servers.mkdir()
            (servers / "linter.md").write_text("---\ncommand: npx\n---\n")
            await lab.until(lambda: lab.task(task_id).state is S.COMPLETED)
        keeping.cancel()
        await asyncio.wait([keeping])

    asyncio.run(restore())
    assert path.exists()


@pytest.fixture
def canary(sqlite_lab, tmp_path: Path) -> Any:
    """A laboratory with a server of each kind, a secret for each, and a profile that lists both."""
    lab = sqlite_lab
    define(lab, "linter", "command: npx\nargs: [-y]\nenv: {TOKEN: '${LINT_TOKEN}'}")
    define(lab, "archive", "url: http://127.0.0.1:9/mcp\ntransport: http\nheaders: {X-Key: 'Key ${ARCHIVE}'}")
    lab.write_profile("reviewer", allowed=["Read"], servers=["linter", "archive"])
    return lab


def use_of(lab) -> Use:
    sync = VaultSync(database=lab.database, root=lab.vault)
    host = Host(home=lab.home, vault=lab.vault, database="x")
    return Use(
        database=lab.database,
        sync=sync.run_once,
        host=host,
        clock=lambda: 5.0,
        random=lambda: 1,
        defaults=lab.registry.defaults,
    )


def answers(lab, task_id: str) -> str:
    """What the commands say of the attempt and its servers."""
    commands: list[tuple[str, dict[str, Any]]] = [
        ("get_task", {"task_id": task_id}),
        ("explain_task", {"task_id": task_id}),
        ("get_attempt", {"task_id": task_id, "number": 1}),
        ("attempt_messages", {"task_id": task_id, "number": 1}),
        ("show_effective_profile", {"project_id": "acme", "agent_type": "reviewer"}),
        ("list_mcp_servers", {}),
        ("get_mcp_server", {"name": "linter"}),
        ("get_mcp_server", {"name": "archive"}),
        ("list_mcp_tool_catalog", {}),
        ("list_tasks", {}),
        ("list_projects", {}),
        ("get_project", {"project_id": "acme"}),
        ("list_profiles", {}),
        ("get_profile", {"profile_id": "reviewer"}),
        ("export_profile", {"profile_id": "reviewer"}),
        ("list_project_profiles", {"project_id": "acme"}),
        ("list_available_tools", {}),
        ("list_tokens", {}),
        ("vault_status", {}),
        ("preview_schedule", {"cron": "0 9 * * *"}),
        ("doctor", {}),
    ]
    listed = {name for name, _ in commands}
    others = [command for command in BY_NAME.values() if command.name not in listed and not command.changes]
    commands += [(command.name, {}) for command in others if not _needed(command.request)]
    return json.dumps([asked(lab, name, **members) for name, members in commands])


def _needed(request: Any) -> list[str]:
    """Members without which a command cannot be asked."""
    missing = dataclasses.MISSING
    return [
        field.name
        for field in dataclasses.fields(request)
        if field.default is missing and field.default_factory is missing
    ]


def asked(lab, command_name: str, /, **members: Any) -> Any:
    """What a command answers, as JSON values; a refusal is an answer too."""
    command = BY_NAME[command_name]
    try:
        return encode(asyncio.run(command.handler(use_of(lab), wire.decode(command.request, members))))
    except OrchestratorError as error:
        return str(error)


def command_lines() -> str:
    found = []
    for process in psutil.process_iter():
        try:
            found += process.cmdline()
        except psutil.Error:
            continue
    return " ".join(found)


@pytest.mark.parametrize("rehearsal", [True, False])
def test_a_secret_is_nowhere_but_in_the_agent_that_has_it(
    canary, tmp_path: Path, rehearsal: bool, capfd: pytest.CaptureFixture[str], caplog: Any
) -> None:
    lab = canary
    caplog.set_level(0)
    go = tmp_path / "go"
    seen = tmp_path / "seen"
    script = f"FAKE[touch={seen};wait_for={go};leak;tool=Read:{{}}]"
    lab.project()
    wanted = {"project_id": "acme", "title": "Leak", "prompt": script, "profile_id": "reviewer"}
    task_id = asked(lab, "create_task", **wanted)["created"]
    secrets = {"LINT_TOKEN": TOKEN, "ARCHIVE": HEADER, "ANTHROPIC_API_KEY": KEY, "UNUSED": "canary-unused"}
    if not rehearsal:
        lab.registry = replace(lab.registry, base=replace(lab.registry.base, rehearsal=False))

    async def run() -> str:
        async with lab.working(secrets=secrets):
            async with asyncio.timeout(30):
                while not seen.exists():  # noqa: ASYNC110 - made by a process that knows no events of ours
                    await asyncio.sleep(0.02)
            during = command_lines()
            go.touch()
            await lab.until(lambda: lab.recorded(task_id))
        return during

    with capture_logs() as lines:
        argv = asyncio.run(run())
    (attempt,) = lab.attempts(task_id)
    assert attempt.outcome == "completed", attempt.message
    said = str([message.body for message in lab.messages(task_id)])
    assert "I know" in said
    assert "•••" in said
    printed = capfd.readouterr()
    sinks = {
        "process list": argv,
        "logs": json.dumps(lines, default=repr) + caplog.text + printed.out + printed.err,
        "answers": answers(lab, task_id),
        "rows": b"".join(path.read_bytes() for path in database_files(lab)).decode("utf-8", "replace"),
    }
    found = [name for name, text in sinks.items() if "canary-" in text]
    assert found == []
    left = [path for path in lab.home.rglob("*") if path.is_file() and b"canary-" in path.read_bytes()]
    assert left == []


def database_files(lab) -> list[Path]:
    """The database itself and what is not yet in it."""
    path = Path(lab.database.place)
    return [file for file in path.parent.iterdir() if file.is_file()]
