"""Every secret that an installation can have, and every place where one could turn up."""

import asyncio
import hashlib
import hmac
import json
import os
import stat
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from fakes import git_host
from orchestrator.cli.main import run
from orchestrator.store.outbox import Topic

TESTS = Path(__file__).parents[1]
MARK = f"canary-{uuid.uuid4().hex}"
"""Of this run: other tests look through the list of processes at the same time."""
SECRETS = {
    name: f"{MARK}-{name}"
    for name in ("LINT_TOKEN", "ARCHIVE", "GIT_TOKEN", "claude__api_key", "vault__git__webhook_secret")
}
BY_MISTAKE = f"mistake-{uuid.uuid4().hex}"
"""Written into a document as it stands: there it is, and nowhere else is it shown."""
PROFILE = """---
id: reviewer
name: Reviewer
---
## Tools
```json
{"allowed": ["Read"]}
```
## MCP Servers
```json
["linter", "archive"]
```
"""
EXPORTED = "agent_profile:\n  id: brought\n  name: Brought\n  mcp_servers: [linter]\n"
LINTER = {
    "name": "linter",
    "command": "sh",
    "args": ["-c", "env >&2; exit 1"],
    "env": {"TOKEN": "x-${LINT_TOKEN}", "KEY": BY_MISTAKE},
}
ARCHIVE = {"name": "archive", "transport": "http", "url": "http://127.0.0.1:9/mcp"}


def git(place: Path, *words: str) -> None:
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    subprocess.run(["git", *who, "-C", str(place), *words], check=True, capture_output=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with a vault that is a clone, and all its secrets in their directory."""
    home, secrets = tmp_path / "home", tmp_path / "secrets"
    secrets.mkdir()
    for name, value in SECRETS.items():
        (secrets / name).write_text(value)
    cli = tmp_path / "claude"
    _, _, rest = (TESTS / "fakes" / "agent.py").read_text(encoding="utf-8").partition("\n")
    cli.write_text(f"#!{sys.executable} -ISE\n{rest}", encoding="utf-8")
    cli.chmod(cli.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "site").mkdir()
    git(tmp_path / "site", "init", "--quiet", "--bare", "--initial-branch=main", "vault.git")
    (home / "vault" / "agent-types" / "reviewer").mkdir(parents=True)
    (home / "vault" / "agent-types" / "reviewer" / "profile.md").write_text(PROFILE)
    git(home / "vault", "init", "--quiet", "--initial-branch=main")
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(home))
    monkeypatch.setenv("ORCHESTRATOR_SECRETS_DIR", str(secrets))
    monkeypatch.setenv("ORCHESTRATOR_CLAUDE__CLI_PATH", str(cli))
    return home


def point(home: Path, address: str, password: str) -> None:
    """Have the clone's own configuration name the remote, without a process that is told so."""
    url = f"{address.replace('https://', f'https://kim:{password}@')}/vault.git"
    configuration = home / "vault" / ".git" / "config"
    kept = configuration.read_text().partition("[remote")[0]
    configuration.write_text(f'{kept}[remote "origin"]\n\turl = {url}\n')


def definitions() -> list[tuple[str, dict[str, Any]]]:
    """Commands that write what has secrets in it, and show what became of it."""
    header = {"X-Key": "Key ${ARCHIVE}"}
    return [
        ("create_mcp_server", LINTER),
        ("create_mcp_server", {**LINTER, "name": "not a name"}),
        ("create_mcp_server", {**LINTER, "transport": "none"}),
        ("create_mcp_server", ARCHIVE),
        ("edit_mcp_server", {"name": "archive", "headers": header}),
        ("edit_mcp_server", {"name": "linter", "env": {**LINTER["env"], "NEW": BY_MISTAKE}}),  # type: ignore[dict-item]
        ("probe_mcp_server", {"name": "linter"}),
        ("probe_mcp_server", {"name": "archive"}),
        ("get_mcp_server", {"name": "linter"}),
        ("get_mcp_server", {"name": "archive"}),
        ("list_mcp_servers", {}),
        ("list_mcp_tool_catalog", {}),
        ("export_profile", {"profile_id": "reviewer"}),
        ("import_profile", {"source": EXPORTED, "id": "brought"}),
        ("show_effective_profile", {"project_id": "acme", "agent_type": "reviewer"}),
        ("vault_status", {}),
        ("doctor", {}),
    ]


async def played(api: Any, home: Path, address: str, tmp_path: Path) -> dict[str, str]:
    """Use all of them; what each door and each process showed meanwhile."""
    answers: list[str] = []

    async def ask(method: str, path: str, document: Any = None, **headers: Any) -> Any:
        answer = await api.ask(method, path, document, **headers)
        answers.append(f"{path} {answer.status} {answer.headers} {answer.body.decode()}")
        return answer

    async def command(name: str, members: dict[str, Any]) -> Any:
        return await ask("POST", f"/api/v1/commands/{name}", members)

    await command("create_project", {"id": "acme"})
    for name, members in definitions():
        await command(name, members)
    seen, go = tmp_path / "seen", tmp_path / "go"
    wanted = {"project_id": "acme", "title": "Leak", "profile_id": "reviewer"}
    script = f"FAKE[touch={seen};wait_for={go};leak]"
    task_id = (await command("create_task", {**wanted, "prompt": script})).json["created"]
    async with asyncio.timeout(30.0), api.use.database.listener(Topic.EVENTS) as changed:
        while not seen.exists():
            await changed.wait(0.05)
        processes = " ".join(shown(process) for process in psutil.process_iter())
        go.touch()
        while (await api.ask("GET", f"/api/v1/tasks/{task_id}")).json["state"] != "COMPLETED":
            await changed.wait(0.2)
    for name in TOLD:
        await command(name, {"task_id": task_id})
    of_the_task = [answers.pop() for _ in TOLD]
    for password in ("${GIT_TOKEN}", SECRETS["GIT_TOKEN"], f"{MARK}-wrong", "${NOBODY}"):
        point(home, address, password)
        await command("vault_sync", {})
        await command("vault_status", {})
    secret = SECRETS["vault__git__webhook_secret"]
    signed = hmac.new(secret.encode(), b"{}", hashlib.sha256).hexdigest()
    await ask("POST", "/api/v1/webhooks/vault", {}, authorization=None, x_hub_signature_256=signed)
    await ask("POST", "/api/v1/webhooks/vault", {}, authorization=None, x_gitlab_token=f"{secret}?")
    for path in ("/api/v1/openapi.json", "/metrics", "/readyz"):
        await ask("GET", path)
    return {"HTTP": "\n".join(answers), "HTTP of the task": "\n".join(of_the_task), "process list": processes}


def shown(process: psutil.Process) -> str:
    """What any user of the machine sees of it."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


TOLD = ("get_task", "explain_task", "attempt_messages")
COMMAND_LINES = (
    "mcp-server list",
    "mcp-server show linter",
    "mcp-server probe linter",
    "mcp-server show archive --json",
    "profile export reviewer",
    "profile effective reviewer --project acme",
    "vault sync",
    "vault status",
    "config show",
    "doctor",
    "events",
    "task list",
)


def test_a_secret_is_in_no_answer_log_row_file_or_list_of_processes(
    home: Path, serving: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any, caplog: Any
) -> None:
    caplog.set_level(0)
    with git_host.https(tmp_path / "site", tmp_path, password=SECRETS["GIT_TOKEN"]) as (
        address,
        trusted,
        asked,
    ):
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        point(home, address, "${GIT_TOKEN}")

        async def scenario() -> dict[str, str]:
            webhook = SECRETS["vault__git__webhook_secret"]
            async with serving(home, environment=os.environ, working=True, webhook_secret=webhook) as api:
                return await played(api, home, address, tmp_path)

        with capture_logs() as lines:
            sinks = asyncio.run(scenario())
        assert any("git-receive-pack" in path for path in asked), "nothing was pushed"
        capfd.readouterr()
        for line in COMMAND_LINES:
            run(line.split())
        printed = capfd.readouterr()
    sinks |= {"CLI": printed.out + printed.err, "logs": json.dumps(lines, default=repr) + caplog.text}
    for place in ("HTTP", "HTTP of the task"):
        assert r"\u2022\u2022\u2022" in sinks[place], "a probe and an agent were to say what they know"
    assert "Reviewer" in sinks["CLI"]
    assert [name for name, text in sinks.items() if MARK in text] == []
    # An agent may say what its servers were given in plain text: nothing tells that it was meant as a secret.
    del sinks["HTTP of the task"]
    assert [name for name, text in sinks.items() if BY_MISTAKE in text] == []
    files = [path for path in home.rglob("*") if path.is_file() and path.name != "config"]
    assert [path for path in files if MARK.encode() in path.read_bytes()] == []
