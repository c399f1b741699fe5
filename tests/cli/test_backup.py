"""`orchestrator backup` and `restore`, as typed."""

from pathlib import Path

from orchestrator.cli import exit_codes


def test_a_copy_is_made_and_put_back(cli, home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    assert cli("project", "add", "acme").code == 0
    made = cli("backup", str(copy), "--json")
    assert made.json["path"] == str(copy)
    assert cli("project", "add", "beta").code == 0
    refused = cli("restore", str(copy), "--json")
    assert (refused.code, refused.problem["type"]) == (
        exit_codes.REFUSED,
        "urn:orchestrator:problem:already-exists",
    )
    done = cli("restore", str(copy), "--overwrite", "--sha256", made.json["sha256"])
    assert done.code == 0
    assert "may run again" in done.out
    assert [one["id"] for one in cli("project", "list", "--json").json["projects"]] == ["acme"]
    again = cli("backup", str(copy))
    assert (again.code, "--overwrite" in again.err) == (exit_codes.REFUSED, True)
    assert "are not in it" in cli("backup", str(copy), "--overwrite").out


def test_postgresql_has_its_own_tools(cli, tmp_path: Path) -> None:
    said = cli("backup", str(tmp_path / "copy"), "--database", "postgresql://u@127.0.0.1/x")
    assert (said.code, "pg_dump" in said.err) == (exit_codes.CONFIGURATION, True)
