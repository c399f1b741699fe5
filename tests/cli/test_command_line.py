"""The command line, verb by verb."""

import io
import json
import sys
from pathlib import Path

import pytest

from orchestrator.cli import exit_codes
from orchestrator.domain.attempt import Usage
from orchestrator.domain.outcome import Completed
from orchestrator.domain.settle import settle
from orchestrator.harness.claude.config import CREDENTIALS
from orchestrator.store import queue, settling
from orchestrator.store.database import open_database

NOW = 1_800_000_000.0


def add(cli, *arguments: str) -> str:
    ran = cli("task", "add", *arguments, "--json")
    assert ran.code == 0, ran.err
    return ran.json["created"]


def test_a_task_can_be_asked_for_shown_cancelled_and_tried_again(acme) -> None:
    made = acme("task", "add", "Fix the bug", "--profile", "coder", "--label", "team=red")
    assert made.code == 0
    task_id = made.out.split()[0]
    assert f"orchestrator task watch {task_id}" in made.out
    shown = acme("task", "show", task_id[-4:])
    for word in (task_id, "Fix the bug", "READY", "coder", "team=red"):
        assert word in shown.out
    assert "CANCELLED" in acme("task", "cancel", task_id).out
    assert "READY" in acme("task", "retry", task_id).out


def test_global_options_stand_anywhere(acme, home: Path) -> None:
    for arguments in (
        ("--json", "project", "list"),
        ("project", "--json", "list"),
        ("project", "list", "--json"),
        ("project", "list", "--home", str(home), "--json"),
        ("--database", f"sqlite:///{home}/orchestrator.db", "project", "list", "--json"),
    ):
        ran = acme(*arguments)
        assert ran.code == 0, ran.err
        assert [project["id"] for project in ran.json["projects"]] == ["acme"]


def test_another_home_has_nothing_of_this_one(acme, tmp_path: Path) -> None:
    assert acme("--home", str(tmp_path / "other"), "project", "list", "--json").json["count"] == 0


def test_the_prompt_comes_from_the_command_line_a_file_or_stdin(
    acme, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "prompt.md"
    file.write_bytes(b"\xef\xbb\xbffrom a file\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"from stdin")))
    prompts = {
        ("--prompt", "-x is an option"): "-x is an option",
        ("--prompt-file", str(file)): "from a file\n",
        ("--prompt", "-"): "from stdin",
    }
    for arguments, expected in prompts.items():
        task_id = add(acme, *arguments)
        assert acme("task", "show", task_id, "--json").json["prompt"] == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--prompt-file", "missing.md"), "missing.md cannot be read: No such file"),
        (("--prompt-file", "."), "cannot be read: Is a directory"),
        (("--prompt", "x", "--prompt-file", "y"), "give the prompt once"),
        ((), "a task needs a prompt or a title"),
        (("x", "--run-at", "tomorrow"), "run_at must be a time such as +15m"),
        (("x", "--timeout", "soon"), "timeout must be a duration such as 90s"),
        (("x", "--label", "red"), "label must be name=value"),
        (("x", "--priority", "high"), "Invalid value for --priority"),
        (("x", "--profle", "y"), "Did you mean --profile"),
        (("x", "y"), "Unexpected argument 'y'"),
        (("--wiat",), "Unknown option: --wiat"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_one_line_on_stderr(acme, arguments, said: str) -> None:
    ran = acme("task", "add", *arguments)
    assert ran.code == exit_codes.INVALID
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert said in ran.err


def test_a_prompt_file_that_is_not_utf_8_or_too_long_is_refused(acme, tmp_path: Path) -> None:
    file = tmp_path / "prompt"
    file.write_bytes(b"ok \xff")
    assert "not UTF-8 at byte 3" in acme("task", "add", "--prompt-file", str(file)).err
    file.write_bytes(b"x" * (8 * 1024 * 1024 + 1))
    assert "more than 8,388,608 bytes" in acme("task", "add", "--prompt-file", str(file)).err


def test_errors_have_their_own_exit_codes_and_problem_details(acme, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    expected = {
        ("task", "show", "zzzz"): (exit_codes.NOT_FOUND, "not-found"),
        ("task", "show", "x"): (exit_codes.INVALID, "invalid-input"),
        ("project", "add", "acme"): (exit_codes.REFUSED, "already-exists"),
        ("project", "list", "--database", "nonsense"): (exit_codes.CONFIGURATION, "configuration"),
        ("project", "list", "--database", f"sqlite:///{tmp_path}/file/x.db"): (
            exit_codes.DATABASE,
            "database-unavailable",
        ),
        ("no-such-command",): (exit_codes.INVALID, "invalid-input"),
    }
    for arguments, (code, kind) in expected.items():
        plain, machine = acme(*arguments), acme(*arguments, "--json")
        assert (plain.code, machine.code) == (code, code), plain.err
        assert plain.err.startswith("error: ")
        assert "Traceback" not in plain.err
        assert machine.problem["type"] == f"urn:orchestrator:problem:{kind}"
        assert machine.out == ""


def test_a_wrong_setting_is_named_with_its_file(cli, home: Path) -> None:
    home.mkdir()
    (home / "config.yaml").write_text("worker:\n  slotz: 3\n", encoding="utf-8")
    ran = cli("project", "list")
    assert ran.code == exit_codes.CONFIGURATION
    for word in ("slotz", "slots", "config.yaml"):
        assert word in ran.err


def test_text_of_tasks_can_neither_steer_the_terminal_nor_become_markup(acme) -> None:
    task_id = add(acme, "--title", "\x1b[31m[bold]evil[/bold]\u202e", "--prompt", "\x1b]0;title\x07 [link]")
    for ran in (acme("task", "show", task_id), acme("task", "list"), acme("task", "list", "--json")):
        assert "\x1b" not in ran.out
        assert "\u202e" not in ran.out
        assert "\x07" not in ran.out
    assert "␛[31m[bold]evil[/bold]⟨U+202E⟩" in acme("task", "show", task_id).out


def test_waiting_for_a_task_that_cannot_run_ends_with_1(acme) -> None:
    needed = add(acme, "first")
    acme("task", "cancel", needed)
    ran = acme("task", "add", "then", "--after", needed, "--wait")
    assert ran.code == exit_codes.FAILED
    assert "BLOCKED" in ran.out
    assert f"Task {needed}, which it depends on" in ran.out


def test_a_list_goes_on_where_the_page_before_ended(acme) -> None:
    made = [add(acme, f"task {number}") for number in range(3)]
    first = acme("task", "list", "--limit", "2", "--json").json
    rest = acme("task", "list", "--before", first["next"], "--json").json
    assert [row["id"] for row in first["tasks"] + rest["tasks"]] == made[::-1]
    assert rest["next"] is None


def test_fields_of_a_task_are_changed_and_cleared(acme) -> None:
    task_id = add(acme, "x", "--profile", "coder", "--timeout", "2h", "--run-at", "+1h")
    acme("task", "edit", task_id, "--clear", "profile", "--clear", "run-at", "--timeout", "15m")
    task = acme("task", "show", task_id, "--json").json
    assert (task["profile_id"], task["run_at"], task["timeout_seconds"]) == (None, None, 900.0)
    wrong = acme("task", "edit", task_id, "--clear", "prompt")
    assert (wrong.code, "clear: 'prompt' is not one of" in wrong.err) == (exit_codes.INVALID, True)


def test_a_task_is_explained(acme) -> None:
    ran = acme("task", "explain", add(acme, "x", "--profile", "reviewer"))
    for word in ("No worker is alive", "profile reviewer", "from tier task", "allowed_tools", "origin"):
        assert word in ran.out


def test_an_explanation_keeps_a_long_answer_in_its_place(acme, home: Path) -> None:
    task_id = add(acme, "x")
    with open_database(f"sqlite:///{home / 'orchestrator.db'}") as database:
        (claim,) = database.run_sync(queue.claim, [task_id], worker="w1", now=NOW, lease_seconds=60.0)
        settlement = settle(
            claim.task, Completed(answer="first line\nsecond " + "x" * 500), now=NOW, jitter=0
        )
        ending = settling.Ending(claim=claim, settlement=settlement, usage=Usage())
        database.run_sync(settling.settle, [ending], worker="w1", now=NOW)
    lines = acme("task", "explain", task_id).out.splitlines()
    assert lines[1].startswith("- It has ended: COMPLETED. first line second xxx")
    assert len(lines[1]) < 250
    assert lines[2].endswith(f"task show {task_id}")


def test_projects_are_changed_paused_and_shown(acme, tmp_path: Path) -> None:
    acme(
        "project",
        "edit",
        "acme",
        "--profile",
        "coder",
        "--max-concurrent",
        "2",
        "--repository",
        str(tmp_path),
    )
    acme("project", "pause", "acme")
    shown = acme("project", "show", "acme", "--json").json
    assert (shown["default_profile_id"], shown["max_concurrent"]) == ("coder", 2)
    assert (shown["checkout"], shown["paused"]) == ("directory", True)
    acme("project", "edit", "acme", "--clear", "profile", "--clear", "repository")
    acme("project", "resume", "acme")
    shown = acme("project", "show", "acme", "--json").json
    assert (shown["default_profile_id"], shown["repository"], shown["checkout"]) == (None, None, "empty")
    assert "acme" in acme("project", "list").out


def test_no_checkout_is_claimed_of_a_repository_that_is_not_there(cli, tmp_path: Path) -> None:
    added = cli("project", "add", "later", "--repository", str(tmp_path / "later"))
    first, second, *_ = added.out.splitlines()
    assert (first, "`directory` is only assumed" in second) == ("project later created", True)


def test_profiles_are_listed_shown_and_previewed(acme) -> None:
    assert "reviewer" in acme("profile", "list").out
    assert "Read, Grep, Glob" in acme("profile", "show", "reviewer").out
    ran = acme("profile", "effective", "reviewer", "--project", "acme")
    assert "profile reviewer" in ran.out
    assert acme("profile", "show", "nobody").code == exit_codes.NOT_FOUND


def test_the_tools_that_a_profile_can_name_are_listed(cli) -> None:
    names = {tool["name"] for tool in cli("tools", "--json").json["tools"]}
    assert {"Read", "Bash", "create_task"} <= names


def test_the_settings_are_shown_with_their_origin_and_without_secrets(cli, monkeypatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_CLAUDE__API_KEY", "do-not-show-me")
    ran = cli("config", "show")
    assert "do-not-show-me" not in ran.out
    assert "********" in ran.out
    rows = {row["key"]: row for row in cli("config", "show", "--json").json["settings"]}
    assert rows["claude.api_key"]["origin"] == "environment"
    assert rows["worker.slots"] == {"key": "worker.slots", "value": "4", "origin": "default"}


def test_a_configuration_file_in_the_home_that_is_not_read_is_named(cli, home: Path, monkeypatch) -> None:
    home.mkdir()
    unread = home / "config.yaml"
    unread.write_text("worker: {slots: 2}\n", encoding="utf-8")
    assert cli("config", "show", "--json").json["warnings"] == []
    monkeypatch.setenv("ORCHESTRATOR_CONFIG", str(home / "other.yaml"))
    shown = cli("config", "show")
    assert f"configuration file: {home / 'other.yaml'} (not there)" in shown.out
    assert f"{unread} is not read; move what is in it to {home / 'other.yaml'}, which is" in shown.out
    found = {one["subject"]: one for one in cli("doctor", "--json").json["findings"]}
    assert (found["configuration"]["verdict"], found["configuration"]["found"]) == (
        "warning",
        f"{unread} is not read",
    )


def test_a_list_in_a_variable_that_is_not_json_is_a_wrong_setting(cli, monkeypatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_WORKER__LABELS", "gpu")
    said = cli("config", "show")
    assert said.code == exit_codes.CONFIGURATION
    assert """ORCHESTRATOR_WORKER__LABELS='["gpu"]'""" in said.err


def test_the_vault_says_which_document_is_wrong_and_the_rest_still_holds(acme, home: Path) -> None:
    (home / "vault" / "agent-types" / "coder" / "profile.md").write_text(
        "---\nid: [\n---\n", encoding="utf-8"
    )
    ran = acme("vault", "sync")
    assert ran.code == exit_codes.FAILED
    assert "unusable  agent-types/coder/profile.md" in ran.out
    assert acme("vault", "status", "--json").json["errors"] == 1
    assert "last good revision" in acme("profile", "show", "coder").out


def test_migrating_says_which_database_is_up_to_date(cli, home: Path) -> None:
    ran = cli("migrate")
    assert (ran.code, ran.out) == (0, f"{home / 'orchestrator.db'} is up to date\n")


def test_a_rehearsal_script_that_is_wrong_is_refused(cli, tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("rules: 5\n", encoding="utf-8")
    ran = cli("rehearse", "--script", str(script))
    assert ran.code == exit_codes.INVALID
    assert ran.err.startswith("error: ")


def test_a_fault_of_ours_is_one_line_and_a_file(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("seven")

    monkeypatch.setattr("orchestrator.cli.config.settings", broken)
    ran = cli("config", "show")
    assert ran.code == exit_codes.BUG
    assert ran.err.count("\n") == 1
    kept = Path(ran.err.split("the details are in ")[1].split(";")[0])
    assert "ZeroDivisionError: seven" in kept.read_text(encoding="utf-8")
    kept.unlink()
    monkeypatch.setenv("ORCHESTRATOR_DEBUG", "1")
    assert "Traceback" in cli("config", "show").err


def test_the_doctor_says_what_is_missing_for_work_in_80_columns(cli, monkeypatch) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(Path(sys.executable).parents[2])
    lines = cli("doctor").out.splitlines()
    # A command to be copied has its line to itself and is not broken, wherever the program lies.
    up = f"  {Path(sys.executable).parent.relative_to(Path.cwd())}/orchestrator up"
    first = lines.index("sound; ready to rehearse, but not to work with a model without credentials.")
    assert "a worker that rehearses needs none" in " ".join(" ".join(lines[:first]).split())
    assert max(map(len, lines[: first + 1])) <= 80
    assert lines[first + 1 :] == [
        "To work with a model:",
        "  export ANTHROPIC_API_KEY=...",
        up,
        "To rehearse without one:",
        f"{up} --rehearse",
    ]
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    assert cli("doctor").out.splitlines()[-2:] == ["ready; start with:", up]
    monkeypatch.chdir(Path(sys.executable).parent)
    assert cli("doctor").out.splitlines()[-1] == "  ./orchestrator up"
    assert cli("doctor", "--json").json["ready"] is True


def test_in_a_pipe_no_line_is_filled_up_with_blanks(acme) -> None:
    task_id = add(acme, "--title", "short", "--prompt", "x" * 300)
    lines = acme("task", "show", task_id).out.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []


def test_json_on_stdout_is_one_document_and_only_ascii(acme) -> None:
    add(acme, "grüße \u202e 日本")
    ran = acme("task", "list", "--json")
    assert ran.out.isascii()
    assert json.loads(ran.out)["tasks"][0]["title"] == "grüße \u202e 日本"


def test_a_limit_is_taken_away_by_saying_so_and_not_by_saying_nothing(cli) -> None:
    assert cli("limit", "set", "profile", "reviewer", "--max-concurrent", "1").code == 0
    nothing = cli("limit", "set", "profile", "reviewer")
    assert (nothing.code, "limit set profile reviewer --max-concurrent none" in nothing.err) == (2, True)
    assert cli("limit", "list", "--json").json["count"] == 1
    assert (
        "has no limit here any more"
        in cli("limit", "set", "profile", "reviewer", "--max-concurrent", "none").out
    )
    assert cli("limit", "list", "--json").json["count"] == 0
