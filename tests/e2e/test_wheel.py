"""What is installed from the wheel is whole: it needs nothing of the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(into), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = into.glob("*.whl")
    return built


def test_the_wheel_has_the_migrations_and_the_starter_vault(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    migrations = {f"orchestrator/_alembic/versions/{one.name}" for one in ROOT.glob("alembic/versions/*.py")}
    vault = {f"orchestrator/_vault/{one.relative_to(ROOT / 'vault')}" for one in ROOT.glob("vault/**/*.md")}
    assert migrations
    assert vault
    assert migrations | vault | {"orchestrator/_alembic/env.py"} <= names


def test_away_from_the_checkout_it_migrates_and_takes_in_the_vault(
    wheel: Path, installation, tmp_path: Path
) -> None:
    place = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(place)
    installation.settings["PYTHONPATH"] = str(place)
    where = [sys.executable, "-P", "-c", "import orchestrator; print(orchestrator.__file__)"]
    environment = installation.environment
    found = subprocess.run(where, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.stdout.startswith(str(place)), found.stderr
    installation.run("migrate")
    installation.run("vault", "sync")
    listed = {one["id"] for one in installation.run("profile", "list")["profiles"]}
    assert {one.parent.name for one in ROOT.glob("vault/agent-types/*/profile.md")} <= listed
