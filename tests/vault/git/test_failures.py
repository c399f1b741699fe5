"""Whatever goes wrong ends in a stated status, loses nothing, and the next cycle that can go through does."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest

from orchestrator.vault.git.cycle import GitVault
from orchestrator.vault.git.state import GitState

REFUSED_CONFIGURATION = (
    "core.sshCommand",
    "filter.evil.clean",
    "url.ext::sh -c id.insteadOf",
    "include.path",
    "includeIf.gitdir:/.path",
    "merge.evil.driver",
    "remote.origin.uploadpack",
    "remote.origin.pushurl",
    "credential.helper",
    "diff.external",
    "core.worktree",
)

REFUSED_ADDRESSES = (
    "ext::sh -c touch% /tmp/x",
    "--upload-pack=touch /tmp/x",
    "file:///tmp/x",
    "http://example.org/x",
    "git://example.org/x",
    "ssh://-oProxyCommand=id/x",
    "-oProxyCommand=id:x",
)


def text_of(place: Path) -> str:
    return place.read_text()


@pytest.mark.parametrize("key", REFUSED_CONFIGURATION)
def test_configuration_that_starts_programs_is_refused_and_named(here, tmp_path, key) -> None:
    marker = tmp_path / "ran"
    here.git("config", key, f"touch {marker}")
    here.put("a.md", "a\n")
    status = here.sync()
    assert status.state is GitState.REFUSED
    assert key.lower().split(".")[0] in status.message
    assert not marker.exists()
    assert here.read("a.md") == "a\n"
    subprocess.run(
        ["git", "config", "--file", str(here.root / ".git/config"), "--unset-all", key], check=True
    )
    here.synced()


@pytest.mark.parametrize("url", REFUSED_ADDRESSES)
def test_addresses_that_are_programs_or_options_are_refused(here, url) -> None:
    (here.root / ".git/config").write_text(f'[remote "origin"]\n\turl = "{url}"\n')
    assert here.sync().state is GitState.REFUSED


def test_hooks_monitors_and_filters_of_the_repository_do_not_run(here, site, tmp_path) -> None:
    marker = tmp_path / "ran"
    for name in (
        "pre-commit",
        "post-commit",
        "pre-push",
        "post-checkout",
        "reference-transaction",
        "post-index-change",
    ):
        hook = here.root / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho {name} >> {marker}\n")
        hook.chmod(0o755)
    here.git("config", "core.fsmonitor", f"touch {marker}")
    here.git("config", "filter.lfs.clean", f"touch {marker}")
    here.git("config", "filter.lfs.required", "true")
    here.git("config", "core.hooksPath", ".git/hooks")
    here.put(".gitattributes", "*.md filter=lfs\n")
    here.put("a.md", "a\n")
    here.synced()
    assert not marker.exists()
    assert site.log()[0] == "orchestrator on here: Add 2 documents"


def test_what_the_caller_has_in_its_environment_steers_nothing(here, tmp_path, monkeypatch) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_SSH_COMMAND", "false")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    here.put("a.md", "a\n")
    here.synced()
    assert not (tmp_path / "elsewhere").exists()


def test_links_out_of_the_tree_are_refused_from_either_side(here, there) -> None:
    (there.root / "out.md").symlink_to("/etc/passwd")
    assert there.sync().state is GitState.REFUSED
    there.git("add", "out.md")
    there.git("commit", "--quiet", "-m", "link")
    there.git("push", "--quiet", "origin", "HEAD:main")
    status = here.sync()
    assert status.state is GitState.REFUSED
    assert "out.md" in status.message
    assert not os.path.lexists(here.root / "out.md")
    (there.root / "out.md").unlink()
    there.synced()
    here.synced()


def test_a_link_inside_of_the_tree_is_taken(here, there) -> None:
    (there.root / "agent-types/second").symlink_to("reviewer")
    there.synced()
    here.synced()
    assert os.readlink(here.root / "agent-types/second") == "reviewer"  # noqa: PTH115
    (there.root / "agent-types/second").unlink()
    there.synced(), here.synced()
    assert not os.path.lexists(here.root / "agent-types/second")


def test_submodules_are_refused(here) -> None:
    here.git("init", "--quiet", "inner")
    here.put("inner/a", "a")
    here.git("-C", "inner", "add", "a")
    here.git("-C", "inner", "commit", "--quiet", "-m", "inner")
    status = here.sync()
    assert status.state is GitState.REFUSED
    assert "inner" in status.message
    shutil.rmtree(here.root / "inner")
    here.synced()


def test_a_detached_head_is_left_as_it_is(here) -> None:
    here.git("checkout", "--quiet", "--detach")
    here.put("a.md", "a\n")
    assert here.sync().state is GitState.DETACHED
    assert here.git("status", "--porcelain") == "?? a.md"
    here.git("switch", "--quiet", "main")
    here.synced()


def test_a_remote_that_was_rewritten_is_followed_and_what_it_dropped_is_kept(site, here, there) -> None:
    there.put("secret.md", "secret\n")
    there.synced(), here.synced()
    dropped = here.git("rev-parse", "HEAD")
    there.git("reset", "--quiet", "--hard", "HEAD~1")
    there.put("other.md", "other\n")
    there.git("add", "--all")
    there.git("commit", "--quiet", "-m", "Instead")
    there.git("push", "--quiet", "--force", "origin", "main")
    here.put("mine.md", "mine\n")
    status = here.synced()
    assert "rewritten" in status.notes[0]
    assert {"mine.md", "other.md"} <= here.files().keys()
    assert "secret.md" not in here.files()
    ref = status.notes[0].split()[-1]
    assert here.git("rev-parse", ref) == dropped
    assert site.log()[:2] == ["orchestrator on here: Add mine.md", "Ann: Instead"]


def test_what_is_kept_is_let_go_after_ninety_days(here) -> None:
    """Also what an earlier version kept without a time, from its first look on."""
    old, new = "20260101T000000-0123456789ab", "20260301T000000-0123456789ab"
    for name in (old, new, here.git("rev-parse", "HEAD")):
        here.git("update-ref", f"refs/orchestrator/kept/{name}", "HEAD")

    def kept_at(when: str) -> list[str]:
        (here.root / ".git" / "orchestrator" / "gathered").unlink(missing_ok=True)
        here.put("when.md", when)
        at = datetime.fromisoformat(f"{when}T00:00:00+00:00").timestamp()
        assert GitVault(here.root, here.options, clock=lambda: at).run_once().state is GitState.SYNCED
        refs = here.git("for-each-ref", "--format=%(refname)", "refs/orchestrator/kept/").splitlines()
        return [ref.rpartition("/")[2][:15] for ref in refs]

    assert kept_at("2026-03-31") == ["20260101T000000", "20260301T000000", "20260331T000000"]
    assert kept_at("2026-04-02") == ["20260301T000000", "20260331T000000"]
    assert kept_at("2026-06-30") == []


def test_a_shallow_clone_gets_what_it_needs(site, there) -> None:
    for number in range(5):
        there.put("many.md", f"{number}\n")
        there.synced()
    shallow = site.clone("shallow", "--depth=1")
    shallow.put("mine.md", "mine\n")
    there.put("README.md", "changed\n")
    there.synced()
    shallow.synced(), there.synced()
    assert shallow.files() == there.files()


def test_a_remote_that_is_away_is_offline_and_edits_are_committed_until_it_is_back(site, here) -> None:
    site.bare.rename(site.place / "away.git")
    for number in range(3):
        here.put("a.md", f"{number}\n")
        status = here.sync()
        assert status.state is GitState.OFFLINE, status
    assert status.ahead == 3
    (site.place / "away.git").rename(site.bare)
    here.synced()
    assert len(site.log()) == 4


@pytest.mark.parametrize("url", ["https://127.0.0.1:9/vault.git", "ssh://git@127.0.0.1:9/vault.git"])
def test_nobody_who_answers_is_offline(here, url) -> None:
    here.git("remote", "set-url", "origin", url)
    status = here.sync()
    assert status.state is GitState.OFFLINE, status


def test_a_remote_that_says_nothing_is_given_up_in_time(site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        clone = site.clone("slow", network_seconds=0.5)
        clone.git("remote", "set-url", "origin", f"https://127.0.0.1:{silent.getsockname()[1]}/x.git")
        started = time.monotonic()
        assert clone.sync().state is GitState.OFFLINE
        assert time.monotonic() - started < 10


def test_a_remote_that_takes_nothing_says_why(site, here) -> None:
    hook = site.bare / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    here.put("a.md", "a\n")
    status = here.sync()
    assert status.state is GitState.REJECTED
    assert "pre-receive hook declined" in status.message
    assert status.ahead == 1
    hook.unlink()
    here.synced()


def test_a_branch_that_is_gone_is_not_made_anew(site, here) -> None:
    here.synced()
    subprocess.run(["git", "-C", str(site.bare), "update-ref", "-d", "refs/heads/main"], check=True)
    assert here.sync().state is GitState.REJECTED


def interrupt_a_rebase(here, there) -> None:
    there.put("README.md", "theirs\n")
    there.synced()
    here.put("README.md", "mine\n")
    here.git("commit", "--quiet", "--all", "-m", "mine")
    here.git("fetch", "--quiet")
    with pytest.raises(subprocess.CalledProcessError):
        here.git("rebase", "origin/main")
    here.put("new.md", "not committed\n")


def test_a_rebase_that_somebody_is_in_is_left_to_him(here, there) -> None:
    interrupt_a_rebase(here, there)
    before = here.files()
    assert here.sync().state is GitState.UNFINISHED
    assert here.files() == before


def test_an_abandoned_rebase_is_aborted_with_everything_kept(site, here, there) -> None:
    interrupt_a_rebase(here, there)
    late = type(here)(root=here.root, options=site.clone("x", abandoned_seconds=0.0).options)
    status = late.sync()
    assert status.state is GitState.CONFLICT
    assert "aborted a rebase" in status.notes[0]
    ref = status.notes[0].split()[-1]
    assert "<<<<<<<" in here.git("show", f"{ref}:README.md")
    assert here.read("README.md") == "mine\n"
    assert here.git("show", f"{ref}:new.md") == "not committed"
    assert here.read("new.md") == "not committed\n"


def test_a_file_that_is_ignored_is_not_overwritten(here, there) -> None:
    here.put(".git/info/exclude", "local.md\n")
    here.put("local.md", "mine\n")
    there.put("local.md", "theirs\n")
    there.synced()
    status = here.sync()
    assert status.state is GitState.IN_THE_WAY
    assert "local.md" in status.message
    assert here.read("local.md") == "mine\n"


def test_a_vault_that_was_emptied_is_not_taken_for_an_edit(site, here) -> None:
    for entry in here.root.iterdir():
        if entry.name != ".git":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    assert here.sync().state is GitState.REFUSED
    here.git("checkout", "--", ".")
    here.synced()


def test_what_a_crash_cut_off_is_brought_to_its_end(here, there) -> None:
    """The files are half moved, and the branch not yet."""
    there.put("a.md", "a\n")
    there.put("README.md", "theirs\n")
    there.synced()
    here.git("fetch", "--quiet")
    here.git("update-ref", "refs/orchestrator/outgoing", "HEAD")
    here.git("update-ref", "refs/orchestrator/incoming", "origin/main")
    here.put("README.md", "theirs\n")
    here.put(".git/orchestrator/scratch-1/tree/a.md", "half")
    here.synced()
    assert here.files() == there.files()
    assert here.git("log", "--format=%an", "-1") == "orchestrator on there"
    assert not (here.root / ".git/orchestrator/scratch-1").exists()


def test_a_cycle_that_is_stopped_ends_at_once_and_is_taken_up_later(site, here, there) -> None:
    there.put("a.md", "a\n")
    there.synced()
    stopped = here.vault
    stopped.stop()
    assert stopped.run_once().state is GitState.STOPPED
    here.synced()
    assert here.read("a.md") == "a\n"


def test_two_processes_take_turns(here) -> None:
    here.put("a.md", "a\n")
    results = []
    threads = [threading.Thread(target=lambda: results.append(here.sync().state)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [GitState.SYNCED] * 3


def test_ten_thousand_files_go_there_and_come_back(site, here, there) -> None:
    for number in range(10_000):
        here.put(f"agent-types/p{number}/profile.md", f"---\nid: p{number}\n---\nText\n")
    started = time.monotonic()
    here.synced()
    pushed = time.monotonic()
    there.synced()
    taken = time.monotonic()
    there.put("agent-types/p77/profile.md", "changed\n")
    there.synced()
    edited = time.monotonic()
    print(
        f"push {pushed - started:.1f} s, take {taken - pushed:.1f} s, one edit {edited - taken:.2f} s",
        file=sys.stderr,
    )
    here.synced()
    assert text_of(here.root / "agent-types/p77/profile.md") == "changed\n"
    assert len(there.files()) == 10_002


def test_a_remote_that_does_not_let_us_in_says_so_and_is_never_asked_for_a_password(
    here, tmp_path, monkeypatch
) -> None:
    """An ssh that answers as the real one does, and shows how it was called."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "ssh").write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/asked\necho "Permission denied (publickey)." >&2\nexit 255\n'
    )
    (tools / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    here.git("remote", "set-url", "origin", "git@git.example.org:team/vault.git")
    here.put("a.md", "a\n")
    status = here.sync()
    assert status.state is GitState.CREDENTIALS
    assert status.ahead == 1
    assert "-oBatchMode=yes" in text_of(tmp_path / "asked")
