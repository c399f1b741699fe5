"""`orchestrator call`: any command by its name, exactly as programs see it."""

import asyncio
import sys
from typing import Annotated, Any

from cyclopts import Parameter

from orchestrator.cli import exit_codes, failure, output
from orchestrator.cli.session import use
from orchestrator.commands import calls
from orchestrator.domain.errors import OrchestratorError


def call(
    name: Annotated[str, Parameter(help="Name of the command, such as create_task.")],
    request: Annotated[
        str, Parameter(help="The request, a JSON object; `-` reads it from stdin.", allow_leading_hyphen=True)
    ] = "{}",
) -> int:
    """Print the result of a command as JSON, or its problem details on stderr with exit code 1."""
    try:
        answer = asyncio.run(_answer(name, sys.stdin.read() if request == "-" else request))
    except OrchestratorError as error:
        failure.expected(error, as_json=True)
        return exit_codes.FAILED
    output.print_json(answer)
    return exit_codes.OK


async def _answer(name: str, request: str) -> Any:
    async with use() as ready:
        return await calls.call(ready, name, request)
