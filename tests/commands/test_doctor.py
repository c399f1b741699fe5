"""The doctor."""

from dataclasses import replace
from pathlib import Path

from orchestrator.commands.doctor import Diagnosis, Examine, Verdict, doctor, examine_host
from orchestrator.commands.vault import SyncVault, vault_sync
from orchestrator.store import workers


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def verdicts(found: Diagnosis) -> dict[str, Verdict]:
    return {finding.subject: finding.verdict for finding in found.findings}


def test_an_installation_that_can_work_is_healthy(bench, tmp_path: Path) -> None:
    cli = script(tmp_path / "claude", "echo '2.1.329 (Claude Code)'")
    host = replace(bench.use.host, cli_path=cli, credentials="ANTHROPIC_API_KEY")
    bench.use = replace(bench.use, host=host)
    found = bench.do(doctor, Examine())
    assert found.healthy
    assert verdicts(found)["claude"] is Verdict.OK
    assert verdicts(found)["credentials"] is Verdict.OK
    assert verdicts(found)["database"] is Verdict.OK
    assert verdicts(found)["workers"] is Verdict.WARNING


def test_every_warning_says_what_to_do(bench, tmp_path: Path) -> None:
    host = replace(bench.use.host, vault=tmp_path / "none", cli_path=tmp_path / "no-claude")
    for finding in examine_host(host):
        if finding.verdict is Verdict.WARNING:
            assert finding.advice


def test_a_command_line_that_is_missing_or_not_claude_is_a_fault(bench, tmp_path: Path) -> None:
    other = script(tmp_path / "other", "echo something else")
    for path, said in ((tmp_path / "none", "There is no Claude Code at"), (other, "does not look like")):
        bench.use = replace(bench.use, host=replace(bench.use.host, cli_path=path))
        found = bench.do(doctor, Examine())
        assert not found.healthy
        (claude,) = [finding for finding in found.findings if finding.subject == "claude"]
        assert said in claude.found


def test_a_home_that_is_not_there_yet_is_judged_by_its_parent(bench, tmp_path: Path) -> None:
    host = replace(bench.use.host, home=tmp_path / "a" / "b")
    (home,) = [finding for finding in examine_host(host) if finding.subject == "home"]
    assert home.verdict is not Verdict.FAULT


def test_documents_that_cannot_be_used_are_named(bench) -> None:
    (bench.vault / "agent-types" / "reviewer" / "profile.md").write_text("---\n", encoding="utf-8")
    bench.do(vault_sync, SyncVault())
    found = bench.do(doctor, Examine())
    said = [finding.found for finding in found.findings if finding.subject == "vault"]
    assert any(line.startswith("agent-types/reviewer/profile.md: ") for line in said)


def test_a_worker_that_was_heard_of_lately_counts(bench) -> None:
    worker = workers.Worker(
        id="w1",
        host="here",
        pid=1,
        version="1",
        slots=3,
        started_at=bench.now,
        seen_at=bench.now - 5,
    )
    bench.database.run_sync(workers.register, worker)
    found = bench.do(doctor, Examine())
    assert verdicts(found)["workers"] is Verdict.OK
    assert "1 alive, 3 slots" in [finding.found for finding in found.findings]
