"""Edits on both sides of a real remote come together."""

import subprocess
import threading
from collections.abc import Callable

import pytest

from orchestrator.domain.errors import NotFound
from orchestrator.vault.git.cycle import GitOptions, GitVault
from orchestrator.vault.git.state import GitState, GitStatus


def test_a_vault_that_is_no_clone_is_left_alone(tmp_path) -> None:
    assert GitVault(tmp_path).run_once().state is GitState.OFF
    assert list(tmp_path.iterdir()) == []
    assert GitVault(tmp_path, GitOptions(enabled=True)).run_once().state is GitState.REFUSED


def test_an_edit_arrives_on_the_other_side_with_who_made_it(site, here, there) -> None:
    here.put("agent-types/coder/profile.md", "Code.\n")
    status = here.synced()
    assert (status.ahead, status.behind, status.branch, status.conflicts) == (0, 0, "main", ())
    assert site.log()[0] == "orchestrator on here: Add agent-types/coder/profile.md"
    there.synced()
    assert there.read("agent-types/coder/profile.md") == "Code.\n"
    assert there.git("status", "--porcelain") == ""


def test_both_sides_edits_meet_on_one_line_of_history(site, here, there) -> None:
    here.put("README.md", "ONE\ntwo\nthree\nfour\nfive\n")
    there.put("README.md", "one\ntwo\nthree\nfour\nFIVE\n")
    here.put("a.md", "a\n")
    (there.root / "agent-types/reviewer/profile.md").unlink()
    here.synced(), there.synced(), here.synced()
    assert here.files() == there.files() == {"README.md": "ONE\ntwo\nthree\nfour\nFIVE\n", "a.md": "a\n"}
    assert not (here.root / "agent-types").exists()
    assert here.git("rev-list", "--merges", "HEAD") == ""
    assert here.git("status", "--porcelain") == there.git("status", "--porcelain") == ""


def test_a_cycle_with_nothing_to_do_does_nothing(here) -> None:
    commit = here.synced().commit
    assert here.synced().commit == commit


def test_files_of_a_write_in_progress_are_not_committed(here) -> None:
    here.put("agent-types/reviewer/.profile.md.abc.tmp", "half")
    here.put(".starter.json", "{}")
    here.synced()
    assert ".tmp" not in here.git("ls-files")
    assert ".starter.json" in here.git("ls-files")


def test_a_person_commits_and_pulls_in_between(site, here, there) -> None:
    there.put("b.md", "b\n")
    there.synced()
    here.put("c.md", "c\n")
    here.git("add", "--all")
    here.git("commit", "--quiet", "-m", "Mine")
    here.git("pull", "--quiet", "--rebase")
    here.synced()
    assert site.log()[0] == "Ann: Mine"


def test_a_conflict_changes_nothing_in_the_tree_and_names_the_files(site, here, conflict) -> None:
    status = conflict()
    assert status.state is GitState.CONFLICT
    assert [file.path for file in status.conflicts] == ["README.md"]
    assert here.read("README.md") == "mine\n"
    assert here.git("show", "origin/main:README.md") == "theirs"
    assert here.git("show", "HEAD:README.md") == "mine"
    assert here.git("status", "--porcelain") == ""
    assert (status.ahead, status.behind) == (1, 1)
    assert here.vault.status().conflicts == status.conflicts


@pytest.mark.parametrize(("keep", "text"), [("ours", "mine\n"), ("theirs", "theirs\n")])
def test_a_decision_settles_it_and_both_edits_stay_in_the_history(
    here, there, conflict: Callable[[], GitStatus], keep, text
) -> None:
    conflict()
    (file,) = here.vault.resolve("README.md", keep)
    assert file.keep == keep
    here.synced(), there.synced()
    assert here.read("README.md") == there.read("README.md") == text
    history = there.git("log", "--format=", "-p", "--full-history", "README.md")
    assert "+mine" in history
    assert "+theirs" in history


def test_a_decision_lapses_when_a_side_changes_again(here, there, conflict) -> None:
    conflict()
    here.vault.resolve("README.md", "ours")
    there.put("README.md", "theirs, again\n")
    there.synced()
    assert here.sync().state is GitState.CONFLICT
    assert here.read("README.md") == "mine\n"


def test_each_file_of_a_conflict_is_decided_by_itself(here, there) -> None:
    for clone in (here, there):
        clone.put("README.md", f"{clone.root.name}\n")
        clone.put("x.md", f"{clone.root.name}\n")
    (there.root / "agent-types/reviewer/profile.md").unlink()
    here.put("agent-types/reviewer/profile.md", "changed\n")
    there.synced()
    assert len(here.sync().conflicts) == 3
    here.vault.resolve("README.md", "ours")
    here.vault.resolve("agent-types/reviewer/profile.md", "theirs")
    status = here.sync()
    assert status.state is GitState.CONFLICT
    assert {file.path: file.keep for file in status.conflicts}["x.md"] is None
    here.vault.resolve("x.md", "theirs")
    here.synced(), there.synced()
    assert here.files() == there.files() == {"README.md": "here\n", "x.md": "there\n"}


def test_only_a_file_in_conflict_can_be_decided(here) -> None:
    here.synced()
    with pytest.raises(NotFound):
        here.vault.resolve("README.md", "ours")


def test_edits_that_conflict_on_the_way_but_not_in_the_end_come_together(here, there) -> None:
    for text in ("mine\n", "one\ntwo\nthree\nfour\nfive\n"):
        here.put("README.md", text)
        here.git("commit", "--quiet", "--all", "-m", "step")
    there.put("README.md", "theirs\n")
    there.synced(), here.synced()
    assert here.read("README.md") == "theirs\n"


def test_a_push_that_comes_second_begins_again(site, here, there) -> None:
    """Many at once: each cycle ends in step or contended, and in the end all edits are there."""
    clones = [here, there, site.clone("third")]
    for clone in clones:
        clone.put(f"{clone.root.name}.md", "x\n")
    threads = [threading.Thread(target=clone.sync) for clone in clones]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for clone in [*clones, *clones]:
        clone.synced()
    assert here.files() == there.files()
    assert {"here.md", "there.md", "third.md"} <= here.files().keys()


def test_an_empty_remote_gets_the_first_commit(site, tmp_path) -> None:
    site.bare = site.place / "empty.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(site.bare)], check=True)
    fresh, other = site.clone("fresh"), site.clone("other")
    fresh.put("a.md", "a\n")
    other.put("b.md", "b\n")
    fresh.synced(), other.synced(), fresh.synced()
    assert fresh.files() == other.files() == {"a.md": "a\n", "b.md": "b\n"}
