"""Two clones of one bare repository, real git underneath."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.vault.git.cycle import GitOptions, GitVault
from orchestrator.vault.git.state import GitState, GitStatus


def plain_git(place: Path, *words: str) -> str:
    """Git as a person calls it."""
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "protocol.file.allow=always"]
    done = subprocess.run(
        ["git", *identity, "-C", str(place), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@dataclass
class Clone:
    root: Path
    options: GitOptions

    @property
    def vault(self) -> GitVault:
        """A new one each time: whatever counts is in the repository."""
        return GitVault(self.root, self.options)

    def sync(self) -> GitStatus:
        return self.vault.run_once()

    def synced(self) -> GitStatus:
        status = self.sync()
        assert status.state is GitState.SYNCED, status
        return status

    def put(self, path: str, text: str) -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def git(self, *words: str) -> str:
        return plain_git(self.root, *words)

    def files(self) -> dict[str, str]:
        """All of the tree but git's own."""
        return {
            path.relative_to(self.root).as_posix(): path.read_text()
            for path in self.root.rglob("*")
            if ".git" not in path.relative_to(self.root).parts and path.is_file()
        }


@dataclass
class Site:
    place: Path
    bare: Path

    def clone(self, name: str, *words: str, **options: Any) -> Clone:
        root = self.place / name
        plain_git(
            self.place, "clone", "--quiet", *words, self.bare.as_uri() if words else str(self.bare), name
        )
        if words:
            plain_git(root, "remote", "set-url", "origin", str(self.bare))
        given = {"host": name, "lock_seconds": 0.0, "network_seconds": 20.0, "wait_seconds": 5.0, **options}
        return Clone(root=root, options=GitOptions(**given))

    def log(self, name: str = "main") -> list[str]:
        return plain_git(self.bare, "log", "--format=%an: %s", name).splitlines()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    place = tmp_path / "site"
    place.mkdir()
    bare = place / "remote.git"
    plain_git(place, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
    plain_git(place, "clone", "--quiet", str(bare), "first")
    first = place / "first"
    plain_git(first, "switch", "--quiet", "--create", "main")
    (first / "README.md").write_text("one\ntwo\nthree\nfour\nfive\n")
    (first / "agent-types" / "reviewer").mkdir(parents=True)
    (first / "agent-types" / "reviewer" / "profile.md").write_text("---\nid: reviewer\n---\nReview.\n")
    plain_git(first, "add", "--all")
    plain_git(first, "commit", "--quiet", "--message", "Begin")
    plain_git(first, "push", "--quiet", "origin", "main")
    return Site(place=place, bare=bare)


@pytest.fixture
def here(site: Site) -> Clone:
    return site.clone("here")


@pytest.fixture
def there(site: Site) -> Clone:
    return site.clone("there")


@pytest.fixture
def conflict(here: Clone, there: Clone) -> Callable[[], GitStatus]:
    """Both sides change one line; what the second one's cycle says."""

    def make() -> GitStatus:
        here.put("README.md", "mine\n")
        there.put("README.md", "theirs\n")
        there.synced()
        return here.sync()

    return make
