"""What the documentation says of commands is what the code does."""

from importlib import import_module
from pathlib import Path

import pytest

from orchestrator.cli import exit_codes
from orchestrator.cli.main import run
from orchestrator.cli.menu import BELOW, GROUPS, SINGLE
from orchestrator.cli.page import filled
from orchestrator.domain import errors

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
BY_GROUP = BELOW | {group: members for group, (_, members) in GROUPS.items()}
ENTRIES = dict(SINGLE) | {
    f"{group} {name}": entry for group, members in BY_GROUP.items() for name, entry in members.items()
}


def test_the_page_of_commands_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page) == page, "run `make docs`"


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold <!-- command line: begin -->"):
        filled("# Commands\n")


@pytest.mark.parametrize("name", ENTRIES)
def test_what_can_be_typed_is_there_and_says_what_it_does(name: str) -> None:
    module, _, function = ENTRIES[name].path.partition(":")
    found = getattr(import_module(f"orchestrator.cli.{module}"), function)
    assert found.__doc__
    assert ENTRIES[name].summary.endswith(".")


@pytest.mark.parametrize("name", ENTRIES)
def test_help_says_no_default_that_goes_without_saying(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*name.split(), "--help"]) == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Usage:" in said
    assert [one for one in ("False", "[]", "()", '""') if f"[default: {one}]" in said] == []


def test_every_error_has_an_exit_code_with_a_meaning() -> None:
    left: list[type[errors.OrchestratorError]] = [errors.OrchestratorError]
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        assert exit_codes.exit_code(kind("x")) in exit_codes.MEANINGS
