import asyncio
import os
import socket
import subprocess
from pathlib import Path

import pytest

from orchestrator.domain.project import CheckoutKind, Project
from orchestrator.domain.task import Task, TaskState
from orchestrator.worker.checkouts import (
    CheckoutBusy,
    CheckoutMissing,
    Checkouts,
    CheckoutUnusable,
    where_to_have_it,
)
from orchestrator.worker.git import git


def project(kind: CheckoutKind, repository: Path | None = None) -> Project:
    return Project(
        id="acme",
        name="Acme",
        created_at=1,
        updated_at=1,
        checkout=kind,
        repository=str(repository) if repository else None,
    )


def task(task_id: str = "t1") -> Task:
    return Task(
        id=task_id,
        project_id="acme",
        title="T",
        prompt="P",
        state=TaskState.ASSIGNED,
        created_at=1,
        updated_at=1,
    )


def plain_git(place: Path, *words: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, "-C", str(place), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    place = tmp_path / "repository"
    place.mkdir()
    plain_git(place, "init", "--quiet", "--initial-branch=main")
    (place / "README").write_text("hello\n")
    plain_git(place, "add", "README")
    plain_git(place, "commit", "--quiet", "-m", "first")
    return place


@pytest.fixture
def checkouts(tmp_path: Path) -> Checkouts:
    return Checkouts(tmp_path / "home")


def prepare(checkouts: Checkouts, of: Project, which: Task) -> Path:
    async def enter() -> Path:
        async with checkouts.prepared(of, which) as place:
            return place

    return asyncio.run(enter())


def test_an_empty_directory_is_the_tasks_own_and_private(checkouts) -> None:
    first = prepare(checkouts, project(CheckoutKind.EMPTY), task("a"))
    (first / "left").touch()
    assert prepare(checkouts, project(CheckoutKind.EMPTY), task("a")) == first
    assert prepare(checkouts, project(CheckoutKind.EMPTY), task("b")) != first
    assert (first / "left").exists(), "a retry finds what its predecessor left"
    assert first.stat().st_mode & 0o777 == 0o700


def test_a_directory_takes_one_attempt_at_a_time(checkouts, tmp_path) -> None:
    place = tmp_path / "shop"
    place.mkdir()
    shop = project(CheckoutKind.DIRECTORY, place)

    async def both() -> None:
        async with checkouts.prepared(shop, task("a")):
            with pytest.raises(CheckoutBusy, match="one at a time"):
                async with checkouts.prepared(shop, task("b")):
                    pass
        async with checkouts.prepared(shop, task("b")) as found:
            assert found == place

    asyncio.run(both())
    assert list(place.iterdir()) == [], "the lock leaves nothing behind"


@pytest.mark.parametrize("kind", [CheckoutKind.DIRECTORY, CheckoutKind.WORKTREE])
def test_a_repository_that_is_not_there_says_so(checkouts, tmp_path, kind) -> None:
    with pytest.raises(CheckoutMissing, match=rf"nowhere is not a directory on {socket.gethostname()}\."):
        prepare(checkouts, project(kind, tmp_path / "nowhere"), task())


def test_a_path_is_to_be_corrected_only_where_no_other_host_relies_on_it() -> None:
    assert "project edit acme --repository PATH" in where_to_have_it("acme", [])
    said = where_to_have_it("acme", ["a", "b", "c", "d"])
    assert "(a, b, c, ...)" in said
    assert "same path here" in said
    assert "--repository" not in said
    assert "project edit acme --requires LABEL" in said


def test_a_worktree_is_on_a_branch_of_its_own(checkouts, repository) -> None:
    place = prepare(checkouts, project(CheckoutKind.WORKTREE, repository), task("a"))
    assert (place / "README").read_text() == "hello\n"
    assert plain_git(place, "branch", "--show-current") == "orchestrator/a"
    assert plain_git(repository, "branch", "--show-current") == "main"


def test_a_worktree_is_kept_with_all_that_was_done_in_it(checkouts, repository) -> None:
    shop = project(CheckoutKind.WORKTREE, repository)
    place = prepare(checkouts, shop, task("a"))
    (place / "new").write_text("work")
    (place / "README").write_text("changed")
    assert prepare(checkouts, shop, task("a")) == place
    assert ((place / "new").read_text(), (place / "README").read_text()) == ("work", "changed")


def test_half_a_worktree_is_made_again(checkouts, repository) -> None:
    shop = project(CheckoutKind.WORKTREE, repository)
    place = prepare(checkouts, shop, task("a"))
    (Path(git(place, "rev-parse", "--absolute-git-dir")) / "orchestrator-made").unlink()
    (place / "README").unlink()
    assert (prepare(checkouts, shop, task("a")) / "README").exists()


def test_a_directory_that_git_does_not_know_is_made_again(checkouts, repository, tmp_path) -> None:
    half = tmp_path / "home" / "worktrees" / "a"
    half.mkdir(parents=True)
    (half / "junk").touch()
    place = prepare(checkouts, project(CheckoutKind.WORKTREE, repository), task("a"))
    assert (place / "README").exists()
    assert not (place / "junk").exists()


def test_a_lock_that_a_killed_git_left_is_taken_away(checkouts, repository) -> None:
    shop = project(CheckoutKind.WORKTREE, repository)
    place = prepare(checkouts, shop, task("a"))
    lock = Path(git(place, "rev-parse", "--absolute-git-dir")) / "index.lock"
    lock.touch()
    prepare(checkouts, shop, task("a"))
    (place / "new").touch()
    plain_git(place, "add", "new")


def test_a_discarded_worktree_leaves_its_branch(checkouts, repository) -> None:
    shop = project(CheckoutKind.WORKTREE, repository)
    place = prepare(checkouts, shop, task("a"))
    (place / "new").touch()
    plain_git(place, "add", "new")
    plain_git(place, "commit", "--quiet", "-m", "work")
    checkouts.discard(shop, "a")
    assert not place.exists()
    assert "work" in plain_git(repository, "log", "--format=%s", "orchestrator/a")
    assert (prepare(checkouts, shop, task("a")) / "new").exists(), "it can be taken up again"


def test_what_is_discarded_is_gone_with_its_attempts_and_a_branch_that_leads_nowhere(
    checkouts, repository, tmp_path
) -> None:
    """Read-only directories, as package managers leave them, included."""
    shop = project(CheckoutKind.WORKTREE, repository)
    place = prepare(checkouts, shop, task("a"))
    (place / "module").mkdir()
    (place / "module" / "file").touch()
    (place / "module").chmod(0o500)
    home = tmp_path / "home"
    (home / "attempts" / "a" / "1").mkdir(parents=True)
    prepare(checkouts, project(CheckoutKind.EMPTY), task("b"))
    assert checkouts.discard(shop, "a") == 2
    assert checkouts.discard(shop, "a") == 0
    assert checkouts.discard(None, "b") == 1
    assert [path for path in home.rglob("*") if path.is_file()] == []
    assert plain_git(repository, "branch", "--list", "--format=%(refname:short)") == "main"
    assert plain_git(repository, "worktree", "list").count("\n") == 0
    assert (repository / "README").exists()


def test_what_a_repository_is_gone_of_can_be_discarded(checkouts, repository) -> None:
    shop = project(CheckoutKind.WORKTREE, repository)
    place = prepare(checkouts, shop, task("a"))
    repository.rename(repository.with_name("elsewhere"))
    assert checkouts.discard(shop, "a") == 1
    assert not place.exists()


@pytest.mark.parametrize("key", ["smudge", "clean", "process"])
def test_filters_of_the_repository_do_not_run(checkouts, repository, tmp_path, key) -> None:
    """Whatever they are called: what follows `=` in a name is no value."""
    program = tmp_path / "filter"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    program.chmod(0o755)
    (repository / ".gitattributes").write_text("* filter=a=b\n")
    plain_git(repository, "add", ".gitattributes")
    plain_git(repository, "commit", "--quiet", "-m", "attributes")
    plain_git(repository, "config", f"filter.a=b.{key}", str(program))
    plain_git(repository, "config", "filter.a=b.required", "true")
    place = prepare(checkouts, project(CheckoutKind.WORKTREE, repository), task("a"))
    assert (place / "README").read_text() == "hello\n"
    assert not (tmp_path / "ran").exists()


def test_nothing_of_the_repositorys_own_code_runs(checkouts, repository, tmp_path, monkeypatch) -> None:
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    plain_git(repository, "config", "core.fsmonitor", f"touch {tmp_path}/ran; false")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_EXEC_PATH", "/nowhere")
    prepare(checkouts, project(CheckoutKind.WORKTREE, repository), task("a"))
    assert not (tmp_path / "ran").exists()
    assert os.environ["GIT_DIR"] == "/nowhere"


def test_a_repository_without_a_commit_says_what_is_wrong(checkouts, tmp_path) -> None:
    place = tmp_path / "empty"
    place.mkdir()
    plain_git(place, "init", "--quiet")
    with pytest.raises(CheckoutUnusable, match="No worktree can be made"):
        prepare(checkouts, project(CheckoutKind.WORKTREE, place), task())
