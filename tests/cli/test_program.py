"""The real program, as a process of its own."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.cli import exit_codes

PROGRAM = str(Path(sys.executable).with_name("orchestrator"))
BOUND = 60


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "ORCHESTRATOR_HOME": str(tmp_path / "home"),
        "ORCHESTRATOR_API__PORT": "0",
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
    }


def run(environment: dict[str, str], *arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
        **more,
    )


@contextmanager
def started(environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [PROGRAM, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=BOUND)


def test_the_version_is_printed(environment: dict[str, str]) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run(environment, "--version").stdout)


def test_help_needs_neither_database_nor_pydantic_nor_the_agents(environment: dict[str, str]) -> None:
    code = (
        "import sys; from orchestrator.cli.main import run; run(['--help']); run(['task', '--help']);"
        "heavy = {'sqlalchemy', 'pydantic', 'structlog', 'uvicorn', 'git', 'orchestrator.harness.platform'};"
        "sys.exit(', '.join(heavy & sys.modules.keys()) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fault_in_what_is_loaded_lazily_names_where_it_began(environment: dict[str, str]) -> None:
    code = (
        "import sys; from orchestrator.cli.main import run; sys.modules['orchestrator.logs'] = None;"
        "sys.exit(run(['up']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"ORCHESTRATOR_DEBUG": "1"},
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert done.returncode == exit_codes.BUG
    last = done.stderr.splitlines()[-1]
    assert "Cannot import module 'orchestrator.cli.up'" in last
    assert "import of orchestrator.logs halted" in last or "cannot import name 'logs'" in last


def test_results_go_to_stdout_errors_to_stderr_and_codes_to_the_shell(environment: dict[str, str]) -> None:
    made = run(environment, "project", "add", "acme", "--json")
    assert (made.returncode, json.loads(made.stdout)["created"], made.stderr) == (0, "acme", "")
    again = run(environment, "project", "add", "acme", "--json")
    assert (again.returncode, again.stdout) == (exit_codes.REFUSED, "")
    assert json.loads(again.stderr)["detail"] == (
        "project acme already exists; change it with `orchestrator project edit acme`, or choose another id"
    )


def test_a_prompt_of_two_mebibytes_comes_through_stdin(environment: dict[str, str]) -> None:
    run(environment, "project", "add", "acme")
    prompt = "long line\n" * (2 * 1024 * 1024 // 10)
    made = run(environment, "task", "add", "--prompt", "-", "--json", input=prompt)
    assert made.returncode == 0, made.stderr
    shown = run(environment, "task", "show", json.loads(made.stdout)["created"], "--json")
    assert json.loads(shown.stdout)["prompt"] == prompt


def test_a_reader_that_goes_away_is_no_error(environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["/bin/bash", "-c", f"{PROGRAM} tools | head -n 1; echo ${{PIPESTATUS[0]}}"],
        env={**environment, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert done.stdout.splitlines()[-1] in (str(exit_codes.BROKEN_PIPE), "0")
    assert done.stderr == ""


def test_watching_can_be_interrupted(environment: dict[str, str]) -> None:
    run(environment, "project", "add", "acme")
    task_id = json.loads(run(environment, "task", "add", "x", "--json").stdout)["created"]
    with started(environment, "task", "watch", task_id) as process:
        assert process.stdout is not None
        assert "No worker is alive" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=BOUND)
        assert (process.returncode, err) == (exit_codes.INTERRUPTED, "")


def test_a_home_that_cannot_be_written_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file", encoding="utf-8")
    done = run(environment, "project", "list")
    assert done.returncode == exit_codes.CONFIGURATION
    assert done.stderr.startswith(f"error: {tmp_path / 'home'}")
    assert "Traceback" not in done.stderr


def test_the_doctor_works_when_the_database_does_not(environment: dict[str, str], tmp_path: Path) -> None:
    environment["ORCHESTRATOR_DATABASE__URL"] = f"sqlite:///{tmp_path}/no/such/../\x01/x.db"
    (tmp_path / "no").write_text("", encoding="utf-8")
    done = run(environment, "doctor", "--json")
    assert done.returncode == exit_codes.FAILED
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert findings["database"]["verdict"] == "fault"
    assert "git" in findings


def test_the_doctor_works_when_the_settings_do_not(environment: dict[str, str]) -> None:
    environment["ORCHESTRATOR_WORKER__SLOTS"] = "many"
    done = run(environment, "doctor")
    assert done.returncode == exit_codes.FAILED
    assert "slots" in done.stdout


def test_a_port_in_use_ends_up_before_anything_is_claimed(environment: dict[str, str]) -> None:
    run(environment, "project", "add", "acme")
    task_id = json.loads(run(environment, "task", "add", "x", "--json").stdout)["created"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment["ORCHESTRATOR_API__PORT"] = str(taken.getsockname()[1])
        done = run(environment, "up")
    assert done.returncode == exit_codes.CONFIGURATION
    assert "set api.port to another" in done.stderr
    assert "worker.started" not in done.stderr
    events = run(environment, "events", "--task", task_id, "--json").stdout.splitlines()
    assert [json.loads(event)["type"] for event in events] == ["task.created"]


def test_hints_work_where_they_are_copied(environment: dict[str, str], tmp_path: Path) -> None:
    hint = "task add --project acme 'what to do'"
    assert f"{PROGRAM} {hint}" in run(environment, "project", "add", "acme", cwd=tmp_path).stdout
    environment["PATH"] = f"{Path(PROGRAM).parent}:/usr/bin:/bin"
    home = str(tmp_path / "other home")
    said = run(environment, "--home", home, "project", "add", "acme").stdout
    assert f"orchestrator --home '{home}' {hint}" in said


def test_the_first_screen_says_how_another_terminal_finds_it_and_that_nothing_ran(
    environment: dict[str, str],
) -> None:
    with started(environment, "up", "--screen") as process:
        assert process.stdout is not None
        seen = ""
        while "answers programs" not in seen:
            line = process.stdout.readline()
            assert line, seen
            seen += line
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=BOUND)
    assert f"export ORCHESTRATOR_HOME={environment['ORCHESTRATOR_HOME']}\n" in seen
    assert "no credentials" in seen
    assert "bin/orchestrator up --rehearse" in seen
    assert (process.returncode, out) == (0, "stopped; nothing was running\n")


def test_make_run_ends_in_peace_on_an_interrupt(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What `make test-all` says on the command line of the make that runs these tests.
    monkeypatch.setenv("PYTHON", "no-such-python")
    monkeypatch.setenv("VENV", "another")
    root = Path(__file__).parents[2]
    for name in ("Makefile", "pyproject.toml", "requirements/dev.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(root / name, tmp_path / name)
    program = tmp_path / ".venv" / "bin" / "orchestrator"
    program.parent.mkdir(parents=True)
    program.write_text(
        f"#!{sys.executable}\nimport signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"
        "print('up', flush=True)\nsignal.sigwait([signal.SIGINT])\nprint('stopped')\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    (tmp_path / ".venv" / ".installed").touch()
    with subprocess.Popen(
        ["make", "run"],
        cwd=tmp_path,
        env=environment | {"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as make:
        assert make.stdout is not None
        try:
            assert make.stdout.readline() == "up\n"
            os.killpg(make.pid, signal.SIGINT)
            out, err = make.communicate(timeout=BOUND)
        finally:
            if make.poll() is None:
                os.killpg(make.pid, signal.SIGKILL)
    assert out == "stopped\n"
    # Of a child that ends at the very instant of its signal, make itself says other things.
    assert "Interrupt" not in err


def test_completion_is_written_for_a_shell(environment: dict[str, str], tmp_path: Path) -> None:
    target = tmp_path / "completion.bash"
    done = run(environment, "completion", "--shell", "bash", "--output", str(target))
    assert done.returncode == 0, done.stderr
    assert "orchestrator" in target.read_text(encoding="utf-8")


def test_a_rehearsal_answers_until_it_is_told_to_stop(environment: dict[str, str]) -> None:
    with started(environment, "rehearse", "--json") as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        asked = urllib.request.Request(
            f"{url}/v1/messages",
            data=json.dumps(
                {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
            ).encode(),
            headers={"content-type": "application/json", "x-api-key": "rehearsal"},
        )
        with urllib.request.urlopen(asked, timeout=BOUND) as answer:
            assert answer.headers["x-orchestrator-rehearsal"] == "true"
        process.send_signal(signal.SIGTERM)
        assert process.wait(BOUND) == 0


@pytest.mark.real_cli
def test_up_shows_the_profile_the_tools_and_the_answer_of_the_sample(environment: dict[str, str]) -> None:
    environment["PATH"] = os.environ["PATH"]
    with started(environment, "up", "--sample") as process:
        assert process.stdout is not None
        seen = ""
        while "task explain" not in seen:
            line = process.stdout.readline()
            assert line, seen
            seen += line
        process.send_signal(signal.SIGTERM)
        assert process.wait(BOUND) == 0
    for said in ("rehearsal", "reviewer (from tier task)", "Read, Grep, Glob", "COMPLETED", "[rehearsal]"):
        assert said in seen
