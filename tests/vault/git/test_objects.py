"""Reading through GitPython: one process for all questions, and none that is not ours."""

import hashlib
import subprocess

import pytest

from orchestrator.vault.git import process
from orchestrator.vault.git.objects import Objects
from orchestrator.vault.git.process import GitFailed, Leash
from orchestrator.vault.git.state import GitState


@pytest.fixture
def started(monkeypatch):
    """The processes that are started, with what they were given."""
    found: list[tuple[subprocess.Popen[bytes], list[str], dict[str, str]]] = []
    start = Leash.start

    def watched(self, command, environment, inherited=()):
        found.append((start(self, command, environment, inherited), list(command), dict(environment)))
        return found[-1][0]

    monkeypatch.setattr(process.Leash, "start", watched)
    return found


def test_a_cycle_reads_with_one_process_that_ends_with_it(here, started, monkeypatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "0")
    here.synced()
    started.clear()
    here.synced()
    readers = [child for child, command, _ in started if "cat-file" in command]
    assert len(readers) == 1
    assert len(started) <= 7
    assert all(child.poll() is not None for child, _, _ in started)
    for _, command, environment in started:
        assert "core.fsmonitor=false" in command
        assert "maintenance.auto=false" in command
        assert not {"ANTHROPIC_API_KEY", "GIT_CONFIG_COUNT"} & set(environment)


def test_what_is_read_without_a_way_to_start_git_starts_none(here) -> None:
    objects = Objects(here.root)
    assert objects.branch() == "main"
    assert objects.directory == here.root / ".git"
    with pytest.raises(GitFailed, match="only files are read"):
        objects.find("HEAD")


def test_a_reader_that_is_killed_is_no_answer(here) -> None:
    """Nothing there and nobody there to say so must not be confused: one of them deletes refs."""
    repo = here.vault._repository()
    assert repo.commit("refs/heads/none") is None
    assert repo.commit("HEAD") == here.git("rev-parse", "HEAD")
    repo._reading[0].kill()
    repo._reading[0].wait()
    with pytest.raises(GitFailed):
        repo.commit("HEAD")
    repo.close()
    assert repo.commit("HEAD") == here.git("rev-parse", "HEAD")
    repo.close()


def test_a_commit_that_is_replayed_keeps_its_author_its_time_and_its_words(site, here, there) -> None:
    here.put("a.md", "a\n")
    here.git("add", "a.md")
    words = (
        "-c",
        "user.name=Zoë Ñ",
        "commit",
        "--quiet",
        "--date=@1700000000 +0530",
        "-m",
        "Ä\n\nWhy\n\n- it",
    )
    here.git(*words)
    before = here.git("log", "-1", "--format=%an|%ae|%ad|%B", "--date=raw")
    there.put("b.md", "b\n")
    there.synced()
    here.synced()
    assert here.git("rev-parse", "HEAD^") == there.git("rev-parse", "HEAD")
    assert here.git("log", "-1", "--format=%an|%ae|%ad|%B", "--date=raw") == before


@pytest.mark.parametrize(
    ("key", "value"), [("extensions.objectFormat", "sha256"), ("extensions.refStorage", "reftable")]
)
def test_a_repository_of_a_format_that_cannot_be_read_is_refused(here, key, value) -> None:
    configuration = here.root / ".git" / "config"
    section, name = key.split(".")
    version = "[core]\n\trepositoryFormatVersion = 1\n" if value == "sha256" else ""
    configuration.write_text(f"{configuration.read_text()}{version}[{section}]\n\t{name} = {value}\n")
    status = here.sync()
    assert status.state is GitState.REFUSED
    assert value in status.message


def test_git_packs_nothing_behind_the_back_of_a_cycle(here, there) -> None:
    """Whatever the repository asks for: a process that packs would hold up, or outlive, what started it."""
    here.synced()  # which is when packing was last thought of
    # By how many objects there are whose ids begin with 17 git tells whether it is time.
    texts = [
        str(n) for n in range(3000) if hashlib.sha1(b"blob %d\0%d" % (len(str(n)), n)).digest()[0] == 0x17
    ]
    for text in texts[:4]:
        (here.root / ".git" / "text").write_text(text)
        here.git("hash-object", "-w", ".git/text")
    for key, value in (("gc.auto", "1"), ("maintenance.auto", "true"), ("gc.autoDetach", "false")):
        here.git("config", key, value)
    there.put("b.md", "b\n")
    there.synced()
    before = loose(here)
    here.put("a.md", "a\n")
    (here.root / ".git" / "orchestrator" / "gathered").touch()  # not the time for it
    here.synced()
    assert loose(here) > before
    here.git("gc", "--auto", "--quiet")  # as any command of a person would have
    assert loose(here) < before


def loose(clone) -> int:
    """Objects that are in no pack."""
    return int(clone.git("count-objects").split()[0])
