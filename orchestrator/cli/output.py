"""Results on stdout: JSON for programs, text for people, nothing that a terminal would obey."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TextIO, TypeVar, cast

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.options import current
from orchestrator.commands.encoding import encode
from orchestrator.commands.visible import visible

Result = TypeVar("Result")

PIPE_WIDTH = 10_000
"""Columns where no terminal is: nothing is cut or wrapped there."""


class _OnePiece(Text):
    """A line to be copied. Only the terminal itself may break it: it then gives it back in one piece."""


class _Console(Console):
    """Rich ends the process with 1 when the reader goes away; we have an exit code for that."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError

    def print(self, *objects: Any, **how: Any) -> None:
        if any(isinstance(part, _OnePiece) for part in objects):
            how["soft_wrap"] = True
        super().print(*objects, **how)


class _Trimmed:
    """Without the blanks that fill a column up to its width: one long value would pad every line."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        self._out.write(_FILLED.sub("", text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)


_FILLED = re.compile(r" +$", re.MULTILINE)


def console() -> Console:
    """Where text for people goes. Markup, emoji codes and highlighting are off: text is only text."""
    out = sys.stdout
    if out.isatty():
        return _Console(file=out, markup=False, emoji=False, highlight=False)
    trimmed = cast(TextIO, _Trimmed(out))
    return _Console(file=trimmed, markup=False, emoji=False, highlight=False, width=PIPE_WIDTH)


def show(result: Result, render: Callable[[Result], Iterable[RenderableType]]) -> None:
    """Print a result: as JSON when asked for, else as its parts for people."""
    if current().json:
        print_json(result)
        return
    to = console()
    for part in render(result):
        to.print(part)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """One JSON document. Only ASCII, so that no text of an agent can steer the terminal."""
    sys.stdout.write(json.dumps(encode(value), indent=indent) + "\n")
    sys.stdout.flush()


def text(value: object, style: str = "") -> Text:
    """Anything, as text that is safe to show."""
    return Text(visible(str(value)), style=style)


def hint(label: str, command: str, style: str = "dim") -> Text:
    """What to type next, with the command at the end of a line that is copied in one piece."""
    return _OnePiece(visible(f"{label}: {command}"), style=style)


def steps(label: str, *commands: str, style: str = "dim") -> Iterator[Text]:
    """What to type next, one after the other: each command on a line of its own, copied in one piece."""
    yield text(f"{label}:", style)
    for command in commands:
        yield _OnePiece(visible(f"  {command}"), style=style)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, width: int | None = None) -> Table:
    """Columns under headers; cells that are `Text` keep their style. As wide as needed, or just `width`."""
    grid = Table(box=None, pad_edge=False, show_edge=False, header_style="bold", width=width)
    for header in headers:
        grid.add_column(header, overflow="fold")
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else text(cell) for cell in row))
    return grid


def facts(rows: Iterable[tuple[str, object]]) -> Table:
    """Names and values, one a line; a value of `None` is left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        if value is not None:
            grid.add_row(text(name), value if isinstance(value, Text) else text(value))
    return grid


def warnings(lines: Iterable[str]) -> Iterable[Text]:
    for line in lines:
        yield text(f"warning: {line}", "yellow")


STATE_STYLES = {
    "COMPLETED": "green",
    "FAILED": "red",
    "BLOCKED": "red",
    "CANCELLED": "dim",
    "IN_PROGRESS": "cyan",
    "ASSIGNED": "cyan",
    "WAITING_INPUT": "magenta",
}


def state(value: object) -> Text:
    return text(value, STATE_STYLES.get(str(value), ""))
