"""Options that take whole numbers: nothing else is rounded to one."""

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, get_args

import pytest
from cyclopts import App

from orchestrator.cli.main import app


def commands(here: App = app, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    for name in here:
        if not name.startswith("-"):
            yield (*path, name), here[name]
            yield from commands(here[name], (*path, name))


def first(hint: Any) -> str:
    """A value that such an argument may have."""
    return str(next(iter(hint))) if isinstance(hint, type) and issubclass(hint, Enum) else "x"


def numbers() -> Iterator[Any]:
    """For each option that takes a whole number, its name behind all that its command cannot do without."""
    for path, command in commands():
        arguments = [] if command.default_command is None else command.assemble_argument_collection()
        needed = [
            word
            for one in arguments
            if one.required
            for word in (*(() if one.index is not None else (one.name,)), first(one.hint))
        ]
        for one in arguments:
            if int in (one.hint, *get_args(one.hint)):
                yield pytest.param((*path, *needed, one.name), id=" ".join((*path, one.name)))


NUMBERS = list(numbers())


def test_there_are_some() -> None:
    assert len(NUMBERS) > 20


@pytest.mark.parametrize("words", NUMBERS)
def test_a_fraction_is_refused_by_the_name_of_its_option(cli, words) -> None:
    ran = cli(*words, "2.5")
    assert ran.code == 2
    assert re.search(rf'{words[-1]}: "2\.5" is not a whole number\.', ran.err)


def test_a_whole_number_and_the_word_for_none_are_taken(cli) -> None:
    assert cli("limit", "set", "instance", "--max-concurrent", "3").code == 0
    assert cli("limit", "set", "instance", "--max-concurrent", "2.5").code == 2
    (limit,) = cli("limit", "list", "--json").json["limits"]
    assert limit["max_concurrent"] == 3
    assert cli("limit", "set", "instance", "--max-concurrent", "none").code == 0
    assert cli("limit", "list", "--json").json["limits"] == []
