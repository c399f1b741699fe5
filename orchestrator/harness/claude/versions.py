"""What differs between versions of the command line: one table; pure."""

import re
from dataclasses import dataclass
from typing import Final

Number = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Behaviour:
    """How a version behaves where others differ. Each field was measured with the version that begins the
    entry."""

    since: Number
    client_composed: bool
    """A user message can say that it is not typed by a person: no `@file`, no slash command."""
    snapshot_flag: bool
    """The system prompt of a session is stored and replayed on resume, unless
    `--system-prompt-snapshot=off`."""
    fail_closed_hooks: bool
    """A hook callback can be registered so that a call is refused when its answer fails to come."""


TABLE: Final = (
    Behaviour(
        since=(2, 1, 197),
        client_composed=False,
        snapshot_flag=False,
        fail_closed_hooks=False,
    ),
    Behaviour(
        since=(2, 1, 329),
        client_composed=True,
        snapshot_flag=True,
        fail_closed_hooks=True,
    ),
)
"""Ascending. Between two entries the lower one holds: it relies on less."""

TESTED: Final = tuple(entry.since for entry in TABLE)


def parse_version(text: str) -> Number | None:
    """The number in what `--version` prints, such as `2.1.329 (Claude Code)`."""
    found = re.match(r"\s*v?(\d+)\.(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def written(number: Number) -> str:
    return ".".join(map(str, number))


def behaviour_of(number: Number) -> tuple[Behaviour, str | None]:
    """The entry for a version, and a warning when it is not one that was tested.
    Raises LookupError for a version older than every entry."""
    candidates = [entry for entry in TABLE if entry.since <= number]
    if not candidates:
        raise LookupError(written(number))
    entry = candidates[-1]
    if number in TESTED:
        return entry, None
    known = ", ".join(map(written, TESTED))
    return entry, (
        f"Claude Code {written(number)} was not tested (tested: {known}); treated as {written(entry.since)}"
    )
