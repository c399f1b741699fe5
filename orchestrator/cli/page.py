"""The page of commands in the documentation, written from the commands themselves.

`python -m orchestrator.cli.page docs/commands.md` writes what stands between its marks anew.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Final, get_type_hints

from orchestrator.cli import exit_codes
from orchestrator.cli.menu import BELOW, GROUPS, SINGLE
from orchestrator.commands.command import Who
from orchestrator.commands.surface import COMMANDS


def command_line() -> str:
    """Every command that a person types."""
    rows = ["| command | what it does |", "|---|---|"]
    rows += [f"| `orchestrator {name}` | {entry.summary} |" for name, entry in SINGLE.items()]
    groups = [*BELOW.items(), *((group, members) for group, (_, members) in GROUPS.items())]
    rows += [
        f"| `orchestrator {group} {name}` | {entry.summary} |"
        for group, members in groups
        for name, entry in members.items()
    ]
    return "\n".join(rows)


def codes() -> str:
    """Every exit code with its meaning."""
    return "\n".join(
        ["| code | meaning |", "|---|---|"]
        + [f"| {code} | {meaning} |" for code, meaning in exit_codes.MEANINGS.items()]
    )


def commands() -> str:
    """Every command with its request and result; a star marks a member that must be given."""
    rows = ["| command | what it does | request | result | |", "|---|---|---|---|---|"]
    for command in COMMANDS:
        notes = ["changes"] if command.changes else []
        notes += ["agents too"] if command.who is Who.ANYONE else []
        cells = (
            f"`{command.name}`",
            command.summary,
            _request(command.request),
            _result(command.result),
            ", ".join(notes),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "command line": command_line,
    "exit codes": codes,
    "commands": commands,
}


def filled(page: str) -> str:
    """The page with each part between its marks replaced. Raises ValueError where a mark is missing."""
    for name, write in PARTS.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, _, rest = page.partition(begin)
        _, mark, after = rest.partition(end)
        if not mark:
            raise ValueError(f"the page must hold {begin} and {end}")
        page = f"{before}{begin}\n{write()}\n{end}{after}"
    return page


def _request(request: type[Any]) -> str:
    required = (MISSING, MISSING)
    names = [
        f"{item.name}{'*' if (item.default, item.default_factory) == required else ''}"
        for item in fields(request)
    ]
    return ", ".join(names) or "-"


def _result(result: type[Any]) -> str:
    """Names of the members, those of inline records included; brackets mark what may be left out."""
    hints = get_type_hints(result)
    names: list[str] = []
    for item in fields(result):
        if item.metadata.get("inline"):
            names += [inner.name for inner in fields(hints[item.name])]
        else:
            names.append(f"[{item.name}]" if item.metadata.get("optional") else item.name)
    return ", ".join(names)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(filled(target.read_text(encoding="utf-8")), encoding="utf-8")
