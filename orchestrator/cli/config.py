"""`orchestrator config show`."""

from collections.abc import Iterator

from rich.console import RenderableType

from orchestrator.cli import output
from orchestrator.cli.session import settings


def show() -> None:
    """Print each setting and where it came from; secrets are masked."""
    loaded = settings()
    rows = [{"key": key, "value": value, "origin": origin} for key, value, origin in loaded.rows()]

    def render(_: object) -> Iterator[RenderableType]:
        yield output.table(("setting", "value", "from"), (tuple(row.values()) for row in rows))
        yield output.text(f"\nconfiguration file: {loaded.config_file}", "dim")

    output.show({"config_file": loaded.config_file, "settings": rows}, render)
