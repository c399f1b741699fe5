"""The registry's own entry: the embedded server, whose tools are the commands that agents may call."""

from functools import cache
from typing import Any, Final, cast

from orchestrator.commands.command import Who
from orchestrator.commands.wire import shape
from orchestrator.domain.mcp import ServerTool, Transport

TRANSPORT: Final[Transport] = "http"
DESCRIPTION: Final = "Tasks, projects and profiles of this installation, for agents that are granted them."


@cache
def tools() -> tuple[ServerTool, ...]:
    """By name, with the schemas of their requests."""
    # The list of commands has those of the registry among it, and so imports this module.
    from orchestrator.commands.surface import COMMANDS  # noqa: PLC0415 - see above

    found = (
        ServerTool(
            name=command.name,
            description=command.summary,
            input_schema=shape(cast(Any, command.request)).model_json_schema(),
        )
        for command in COMMANDS
        if command.who is Who.ANYONE
    )
    return tuple(sorted(found, key=lambda tool: tool.name))
