"""A lock that a crash left is removed, here and at a remote on this machine; every other one is respected."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes import git_host
from orchestrator.vault.git.state import GitState

IN_THE_WAY = ("HEAD.lock", "refs/heads/main.lock")


@contextmanager
def git_at_work(place: Path) -> Iterator[None]:
    """A git process that waits for its next line."""
    with subprocess.Popen(
        ["git", "-C", str(place), "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as busy:
        assert busy.stdin is not None
        assert busy.stdout is not None
        busy.stdin.write(b"HEAD\n")
        busy.stdin.flush()
        busy.stdout.readline()
        yield
        busy.stdin.close()
        busy.stdout.read()


def test_a_lock_left_by_a_crash_is_removed_and_a_young_one_respected(site) -> None:
    clone = site.clone("locked", lock_seconds=60.0)
    lock = clone.root / ".git/index.lock"
    lock.touch()
    assert clone.sync().state is GitState.LOCKED
    os.utime(lock, (1, 1))
    assert "index.lock" in clone.synced().notes[0]
    assert not lock.exists()


def test_an_old_lock_is_respected_while_a_git_is_at_work(here) -> None:
    (here.root / ".git/index.lock").touch()
    os.utime(here.root / ".git/index.lock", (1, 1))
    with git_at_work(here.root):
        assert here.sync().state is GitState.LOCKED
    here.synced()


def test_a_git_in_a_directory_whose_name_begins_alike_is_not_at_work_here(site, here) -> None:
    (here.root / ".git/index.lock").touch()
    with git_at_work(site.clone("here-too").root):
        here.synced()


def test_what_a_kill_of_the_receiving_side_left_at_the_remote_is_removed(site, here) -> None:
    """A remote that is a path is received by a child of ours, which a kill or a power cut ends too: at the
    worst instant for it, with the branch locked."""
    hook = site.bare / "hooks/reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\n[ "$1" = prepared ] && kill -9 $PPID\n')
    hook.chmod(0o755)
    here.put("a.md", "a\n")
    assert here.sync().state is not GitState.SYNCED
    hook.unlink()
    left = [name for name in IN_THE_WAY if (site.bare / name).exists()]
    assert left
    status = here.synced()
    assert [note.split()[1] for note in status.notes] == left
    assert "at the remote" in status.notes[0]
    assert site.log()[0] == "orchestrator on here: Add a.md"


@pytest.mark.parametrize("name", IN_THE_WAY)
def test_a_young_lock_of_the_remote_is_respected_and_told_from_a_push_that_came_first(site, name) -> None:
    clone = site.clone("locked", lock_seconds=60.0)
    (site.bare / name).touch()
    clone.put("a.md", "a\n")
    status = clone.sync()
    assert (status.state, status.ahead) == (GitState.LOCKED, 1)
    assert f"{name}': File exists" in status.message
    assert "remove that file at the remote" in status.message
    os.utime(site.bare / name, (1, 1))
    assert clone.synced().notes[0].startswith(f"removed {name} at the remote, which a crash left")


def test_a_lock_of_the_remote_is_respected_while_a_git_is_at_work_there(site, here) -> None:
    (site.bare / IN_THE_WAY[1]).touch()
    here.put("a.md", "a\n")
    with git_at_work(site.bare):
        assert here.sync().state is GitState.LOCKED
    here.synced()


@pytest.mark.parametrize("suffix", ["", "/"])
def test_a_remote_with_a_tree_and_a_relative_address_has_its_locks_in_its_git_directory(
    site, here, suffix
) -> None:
    site.clone("desk").git("switch", "--quiet", "--create", "other")
    here.git("remote", "set-url", "origin", f"../desk{suffix}")
    here.put("a.md", "a\n")
    lock = site.place / "desk/.git/refs/heads/main.lock"
    lock.touch()
    assert len(here.synced().notes) == 1
    assert not lock.exists()


def test_locks_of_the_remote_that_are_in_nobodys_way_are_left(site, here) -> None:
    others = [site.bare / name for name in ("packed-refs.lock", "refs/heads/other.lock")]
    for lock in (*others, site.bare / IN_THE_WAY[1]):
        lock.touch()
    here.put("a.md", "a\n")
    here.synced()
    assert [lock.exists() for lock in others] == [True, True]


def test_a_lock_on_another_host_is_left_and_the_status_says_who_can_mend_it(
    site, here, tmp_path, monkeypatch, no_home
) -> None:
    tools = git_host.ssh(tmp_path / "tools")
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    key = no_home / ".ssh" / "id_ed25519"
    key.parent.mkdir()
    key.write_text("a key")
    here.git("remote", "set-url", "origin", f"ssh://git@git.example.org{site.bare}")
    lock = site.bare / IN_THE_WAY[1]
    lock.touch()
    os.utime(lock, (1, 1))
    here.put("a.md", "a\n")
    status = here.sync()
    assert (status.state, status.ahead) == (GitState.LOCKED, 1)
    assert "Others pushed first" not in status.message
    assert (
        "main.lock': File exists. It is tried again. If it stays so, a git was killed there" in status.message
    )
    assert lock.exists()
    lock.unlink()
    here.synced()


def test_a_branch_that_cannot_be_made_at_the_remote_is_not_a_race(site) -> None:
    clone = site.clone("below", branch="main/below")
    status = clone.sync()
    assert status.state is GitState.REJECTED
    assert "'refs/heads/main' exists; cannot create 'refs/heads/main/below'" in status.message
