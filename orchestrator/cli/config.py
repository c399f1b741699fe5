"""`orchestrator config show`."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import RenderableType

from orchestrator.cli import output
from orchestrator.cli.session import settings


def unread(unread_file: Path, config_file: Path) -> str:
    """What to say of a configuration file that lies where it is not read."""
    return f"{unread_file} is not read; move what is in it to {config_file}, which is"


def show() -> None:
    """Print each setting and where it came from; secrets are masked."""
    loaded = settings()
    rows = [{"key": key, "value": value, "origin": origin} for key, value, origin in loaded.rows()]
    warnings = [] if loaded.unread_file is None else [unread(loaded.unread_file, loaded.config_file)]

    def render(_: object) -> Iterator[RenderableType]:
        yield output.table(("setting", "value", "from"), (tuple(row.values()) for row in rows))
        there = "" if loaded.config_file.exists() else " (not there)"
        yield output.text(f"\nconfiguration file: {loaded.config_file}{there}", "dim")
        yield from output.warnings(warnings)

    output.show({"config_file": loaded.config_file, "settings": rows, "warnings": warnings}, render)
