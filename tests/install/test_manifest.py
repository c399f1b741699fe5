"""Manifests, checked and provisioned by the real npm and pip from registries on loopback."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.manifest import InstallManifest
from orchestrator.install.manifest import Packages, program_path

WHOLE = InstallManifest(
    npm=("tiny-tool@^1.0.0",), pip=("tiny-pip>=1,<3",), commands=("sh", "no-such-command")
)


def test_what_is_missing_is_said_and_then_installed(environment, registry, tmp_path: Path) -> None:
    packages = Packages(tmp_path, environment=environment)
    before = asyncio.run(packages.check(WHOLE))
    assert before.present == ("cmd:sh",)
    assert before.issues == (
        "Command not found: no-such-command",
        "npm package not installed: tiny-tool@^1.0.0",
        "pip package not installed: tiny-pip>=1,<3",
    )
    done = asyncio.run(packages.install(WHOLE))
    assert done.installed == ("npm:tiny-tool@^1.0.0", "pip:tiny-pip>=1,<3")
    assert (done.already_present, done.manual, done.ready) == (("cmd:sh",), ("cmd:no-such-command",), False)
    for name in ("tiny-tool", "tiny-pip"):
        said = subprocess.run(
            [name], env={"PATH": program_path(tmp_path, os.environ["PATH"])}, capture_output=True, check=True
        )
        assert said.stdout == b"tiny\n"
    assert list(tmp_path.rglob("ran.txt")) == []
    again = asyncio.run(packages.install(WHOLE))
    assert again.installed == ()
    assert again.already_present == ("cmd:sh", "npm:tiny-tool@^1.0.0", "pip:tiny-pip>=1,<3")
    _other_versions(packages)
    _only_what_was_asked_for_is_on_the_path(tmp_path)


def _other_versions(packages: Packages) -> None:
    """A version that is not the one that is there is not installed; a tag is whatever is there."""
    wanted = InstallManifest(npm=("tiny-tool@2", "tiny-tool@latest"), pip=("tiny-pip==2.0", "tiny-pip>=3"))
    found = asyncio.run(packages.check(wanted))
    assert found.present == ("npm:tiny-tool@latest", "pip:tiny-pip==2.0")
    assert found.missing == ("npm:tiny-tool@2", "pip:tiny-pip>=3")


def _only_what_was_asked_for_is_on_the_path(home: Path) -> None:
    names = {path.name for path in (home / "packages").glob("*/bin/*")}
    assert names == {"tiny-tool", "tiny-pip"}


def test_what_cannot_be_installed_is_left_for_a_person_with_the_reason(environment, tmp_path: Path) -> None:
    manifest = InstallManifest(npm=("no-such-package",), pip=("only-source",))
    done = asyncio.run(Packages(tmp_path, environment=environment).install(manifest))
    assert done.manual == ("npm:no-such-package", "pip:only-source")
    assert done.issues[0].startswith("npm could not install no-such-package: ")
    assert "404" in done.issues[0]
    assert done.issues[1].startswith("pip could not install only-source: ERROR: ")
    assert "built" not in done.issues[1]


def test_without_npm_nothing_is_known_of_its_packages(tmp_path: Path) -> None:
    manifest = InstallManifest(npm=("tiny-tool",), commands=("npx",))
    packages = Packages(tmp_path, environment={"PATH": str(tmp_path)})
    found = asyncio.run(packages.check(manifest))
    assert found.issues == ("Command not found: npx", "npm not available — cannot check: tiny-tool")
    assert asyncio.run(packages.install(manifest)).issues == (
        "Command not found: npx",
        "npm could not install tiny-tool: npm was not found",
    )


@pytest.mark.parametrize(
    "manifest",
    [
        InstallManifest(npm=("--global",)),
        InstallManifest(npm=("./here",)),
        InstallManifest(pip=("git+https://x/y",)),
        InstallManifest(pip=("x @ file:///y",)),
        InstallManifest(commands=("/bin/sh",)),
    ],
    ids=str,
)
def test_what_is_not_a_plain_name_is_refused(manifest: InstallManifest, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is not a plain name"):
        asyncio.run(Packages(tmp_path, environment={}).install(manifest))


def test_an_attempts_own_programs_come_first() -> None:
    assert program_path(Path("/h"), "/usr/bin") == "/usr/bin:/h/packages/npm/bin:/h/packages/pip/bin"
