"""What the command line says to type next can be copied and works."""

import io
import shlex
from pathlib import Path

import pytest

from orchestrator.cli import output, transcript
from orchestrator.domain.attempt import AgentMessage
from tests.cli.conftest import Cli


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_hint_is_in_one_piece_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken by us, a copy of it would be two commands; broken by the terminal, it is one."""
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    command = "export ORCHESTRATOR_HOME=/srv/" + "x" * 80
    output.console().print(output.hint("first", command, ""))
    output.console().print(output.text("word " * 20))
    hint, *rest = screen.getvalue().splitlines()
    assert hint == f"first: {command}"
    assert len(rest) > 1


def test_the_next_page_of_a_list_keeps_its_options(cli: Cli) -> None:
    assert cli("project", "add", "acme").code == 0
    for number in range(4):
        assert cli("task", "add", f"job {number}", "--project", "acme", "--label", "team=red blue").code == 0
    page = cli(
        *("task", "list", "--project", "acme", "--state", "ready", "--label", "team=red blue", "--limit", "3")
    )
    _, _, more = page.out.partition("more: ")
    words = shlex.split(more)
    assert words[0].endswith("orchestrator")
    rest = cli(*words[1:])
    assert rest.code == 0
    assert "job 0" in rest.out
    assert "job 1" not in rest.out


def test_a_state_is_typed_as_it_is_shown(cli: Cli) -> None:
    assert cli("task", "list", "--state", "WAITING_INPUT").code == 0
    assert cli("task", "list", "--state", "waiting-input").code == 0
    assert '"IN_PROGRESS"' in cli("task", "list", "--state", "running").err


def test_a_wrong_option_leads_to_the_help_of_its_command(cli: Cli) -> None:
    assert "See `orchestrator task list --help`" in cli("task", "list", "--stat", "x").err
    assert "See `orchestrator --help`" in cli("tsk").err


def test_what_is_not_found_is_named_once(cli: Cli) -> None:
    assert cli("task", "show", "nowhere1").err.startswith("error: task nowhere1 not found")


def test_an_import_says_how_to_replace_on_the_command_line(cli: Cli, tmp_path: Path) -> None:
    assert cli("profile", "add", "auditor", "--allow", "Read").code == 0
    file = tmp_path / "auditor.yaml"
    file.write_text(cli("profile", "export", "auditor").out, encoding="utf-8")
    assert "--overwrite replaces it" in cli("profile", "import", str(file)).err


def test_a_schedule_without_a_time_names_the_options(cli: Cli) -> None:
    assert "one of --cron, --every and --at" in cli("schedule", "add", "nightly", "look").err


def test_the_options_of_a_command_are_not_shown_as_those_of_all(cli: Cli) -> None:
    for command in ("up", "worker", "events"):
        own, _, everywhere = cli(command, "--help").out.partition("Everywhere")
        assert "Parameters" in own
        assert everywhere.count("--") == 3  # --home, --database, --json


def test_an_event_type_that_does_not_exist_is_refused(cli: Cli) -> None:
    """Whoever follows it would wait for ever."""
    assert "did you mean 'task.completed'" in cli("events", "--follow", "--type", "task.complete").err
    assert cli("events", "--type", "tsk.*").code == 2
    assert cli("events", "--type", "task.*").code == 0


def test_what_a_sync_prints_is_not_logged_too(cli: Cli, home: Path) -> None:
    broken = home / "vault" / "agent-types" / "broken" / "profile.md"
    broken.parent.mkdir(parents=True)
    broken.write_text("---\nid: broken\n---\n## Tools\n```json\n{\n```\n", encoding="utf-8")
    ran = cli("vault", "sync")
    assert (ran.code, ran.err) == (1, "")
    assert "unusable  agent-types/broken/profile.md" in ran.out


def test_a_call_that_the_worker_interrupted_is_not_told_as_rejected_by_a_user() -> None:
    said = "The user doesn't want to proceed with this tool use. The tool use was rejected."
    body = {"content": said, "is_error": True}
    (line,) = transcript.lines(AgentMessage(sequence=1, at=0.0, kind="tool_result", body=body))
    assert "interrupted by the worker" in line.plain
    assert "user" not in line.plain
