"""Finding the command line: where, which version, and what to do when there is none."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.domain.errors import StartRefused
from orchestrator.harness.claude import binary
from orchestrator.harness.claude.binary import CliFinder
from orchestrator.harness.claude.versions import TABLE, behaviour_of, parse_version

Script = Callable[..., Path]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def write(body: str, name: str = "claude", mode: int = 0o755) -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(mode)
        return path

    return write


def refused(path: Path | str) -> str:
    with pytest.raises(StartRefused) as caught:
        CliFinder().find(str(path), search="")
    assert "settings" in str(caught.value)
    return str(caught.value)


def test_the_setting_wins_over_the_path(script: Script, tmp_path: Path) -> None:
    named = script("echo 2.1.197 '(Claude Code)'", "named")
    script("echo 2.1.329 '(Claude Code)'")
    finder = CliFinder()
    assert (finder.find(str(named), search=str(tmp_path)).version, finder.find(str(named)).source) == (
        "2.1.197",
        "setting",
    )
    found = finder.find(search=str(tmp_path))
    assert (found.version, found.source) == ("2.1.329", "PATH")


def test_without_setting_and_path_it_is_the_extra(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = script("echo 2.1.329", "bundled")
    monkeypatch.setattr(binary, "_bundled", lambda: iter([bundled]))
    assert CliFinder().find(search="").source == "extra"
    monkeypatch.setattr(binary, "_bundled", lambda: iter([]))
    with pytest.raises(StartRefused, match="not found"):
        CliFinder().find(search="")


def test_the_version_is_asked_once_for_each_state_of_the_file(script: Script, tmp_path: Path) -> None:
    counted = f"echo x >> {tmp_path}/asked; echo 2.1.329"
    path, finder = script(counted), CliFinder()
    finder.find(str(path))
    finder.find(str(path))
    assert (tmp_path / "asked").read_text() == "x\n"
    script(f"{counted} # updated")
    os.utime(path, ns=(1, 1))
    finder.find(str(path))
    assert (tmp_path / "asked").read_text() == "x\nx\n"


def test_every_way_to_be_unusable_says_what_to_do(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "There is no Claude Code" in refused(tmp_path / "nowhere")
    assert "There is no Claude Code" in refused(tmp_path)
    assert "chmod +x" in refused(script("echo 2.1.329", mode=0o644))
    assert "does not look like Claude Code" in refused(script("echo hello"))
    assert "does not look like Claude Code" in refused(script("echo 2.1.329; exit 3"))
    assert "too old" in refused(script("echo 1.0.3 '(Claude Code)'"))
    broken = script("")
    broken.write_bytes(b"\x7fELF garbage")
    assert "cannot be run" in refused(broken)
    monkeypatch.setattr(binary, "VERSION_SECONDS", 0.2)
    assert "printed no version" in refused(script("exec sleep 5"))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2.1.329 (Claude Code)", (2, 1, 329)),
        (" v3.0.0-beta.1", (3, 0, 0)),
        ("2.1.329.4", (2, 1, 329)),
        ("", None),
        ("Claude 2.1.3", None),
        ("2.1", None),
    ],
)
def test_a_version_is_a_number_at_the_beginning(text: str, number: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == number


def test_a_version_between_or_beyond_is_its_lower_neighbour_with_a_warning() -> None:
    old, new = TABLE
    assert behaviour_of((2, 1, 197)) == (old, None)
    assert behaviour_of((2, 1, 329)) == (new, None)
    for number, entry in {(2, 1, 200): old, (2, 1, 328): old, (2, 1, 330): new, (9, 0, 0): new}.items():
        found, warning = behaviour_of(number)
        assert found is entry
        assert warning is not None
        assert "not tested" in warning
    with pytest.raises(LookupError):
        behaviour_of((2, 1, 196))


def test_the_table_is_in_order() -> None:
    assert list(TABLE) == sorted(TABLE, key=lambda entry: entry.since)
