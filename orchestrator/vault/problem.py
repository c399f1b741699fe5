"""What is wrong with a document, and where."""

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

MOST_PROBLEMS: Final = 50
"""How many problems of one document are kept; a person fixes a handful and looks again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One error or warning. Lines and columns count from 1, in the whole file."""

    message: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        if self.line is None:
            return self.message
        if self.column is None:
            return f"{self.message} (line {self.line})"
        return f"{self.message} (line {self.line}, col {self.column})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """The document cannot be used; all that was found, in the order of the file."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()


class Findings:
    """Collects the errors and warnings of one document while it is read."""

    __slots__ = ("errors", "warnings")

    def __init__(self) -> None:
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []

    def error(self, message: str, line: int | None = None, column: int | None = None) -> None:
        if len(self.errors) < MOST_PROBLEMS:
            self.errors.append(Problem(message=message, line=line, column=column))
        elif len(self.errors) == MOST_PROBLEMS:
            self.errors.append(Problem(message=f"More than {MOST_PROBLEMS} errors; the rest is not shown"))

    def warn(self, message: str, line: int | None = None) -> None:
        if len(self.warnings) < MOST_PROBLEMS:
            self.warnings.append(Problem(message=message, line=line))

    def rejected(self) -> Rejected:
        return Rejected(errors=in_order(self.errors), warnings=in_order(self.warnings))


def in_order(problems: Collection[Problem]) -> tuple[Problem, ...]:
    """By line, those of the whole document first."""
    return tuple(sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0)))


def did_you_mean(word: str, known: Collection[str]) -> str:
    """`; did you mean 'x'?` for the nearest known word, or nothing."""
    if len(word) > 80:
        return ""
    by_folded = {item.casefold(): item for item in known}
    near = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.7)
    return f"; did you mean '{by_folded[near[0]]}'?" if near else ""


def shown(text: str, most: int = 60) -> str:
    """A word of the document, quoted for a message: one line, printable, not long."""
    short = text if len(text) <= most else text[: most - 1] + "…"
    return "'" + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in short) + "'"
