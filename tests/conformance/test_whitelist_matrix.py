"""The whitelist holds with the real command line: every permission mode, every version at hand."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BUNDLED = Path(sysconfig.get_path("purelib")) / "claude_agent_sdk" / "_bundled" / "claude"
VERSIONS = ("2.1.329", "2.1.197")
MODES = ("acceptEdits", "auto", "bypassPermissions", "default", "dontAsk", "plan")

pytestmark = pytest.mark.real_cli


@pytest.fixture(scope="module")
def matrix() -> dict[tuple[str, str], Any]:
    """The one command, run once."""
    if not BUNDLED.is_file():
        pytest.skip("Claude Code is not there; `make run` and `make test` install it")
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "whitelist_matrix.py"), "--json"],
        capture_output=True,
        check=False,
        timeout=110,
    )
    assert done.stdout, done.stderr.decode()
    return {(row["version"], row["mode"]): row for row in json.loads(done.stdout)}


def row_of(matrix: dict[tuple[str, str], Any], version: str, mode: str) -> Any:
    if (version, mode) not in matrix:
        pytest.skip(f"Claude Code {version} is not there; it comes from npm where there is one")
    return matrix[version, mode]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mode", MODES)
def test_the_reported_tools_are_those_of_the_profile_and_no_others(
    matrix: dict[tuple[str, str], Any], version: str, mode: str
) -> None:
    assert row_of(matrix, version, mode)["reported"] == ["Grep", "Read"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mode", MODES)
def test_what_is_not_granted_is_refused_and_has_not_happened(
    matrix: dict[tuple[str, str], Any], version: str, mode: str
) -> None:
    row = row_of(matrix, version, mode)
    assert row["calls"].pop("Read") == "ran"
    assert len(row["calls"]) == 7
    assert {said.partition(":")[0] for said in row["calls"].values()} == {"refused"}
    assert row["held"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_same_calls_do_happen_where_they_are_granted(
    matrix: dict[tuple[str, str], Any], version: str
) -> None:
    """Or the matrix would see nothing."""
    row = row_of(matrix, version, "control")
    assert {name for name, said in row["calls"].items() if said != "happened"} == {"Read"}, row
